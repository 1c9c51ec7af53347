"""Networks: their names, their subnets, which address a container gets."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.times import format_time, parse_time
from minidock.errors import InvalidRequest

BRIDGE, HOST, NONE = "bridge", "host", "none"
PREDEFINED = (BRIDGE, HOST, NONE)
DRIVER = "bridge"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_POOLS = (
    *(f"172.{number}.0.0/16" for number in range(18, 32)),
    *(f"192.168.{number}.0/20" for number in range(0, 256, 16)),
)
_BRIDGE_SUBNET = "172.17.0.0/16"
_UNIQUE_LOCAL = "fd4d:696e:69"


@dataclass(frozen=True, slots=True)
class Network:
    """A network; ``subnets`` are (subnet, gateway, range of addresses or empty), IPv4 first."""

    id: str
    name: str
    created: datetime
    subnets: tuple[tuple[str, str, str], ...]
    driver: str = DRIVER
    is_internal: bool = False
    is_attachable: bool = False
    has_ipv6: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    reserved: Mapping[str, str] = field(default_factory=dict)  # --aux-address

    @property
    def is_predefined(self) -> bool:
        """Whether it is one of those that are always there."""
        return self.name in PREDEFINED

    def to_json(self) -> dict[str, Any]:
        """Return the members of network.json."""
        return {
            "version": 1,
            "id": self.id,
            "name": self.name,
            "created": format_time(self.created),
            "subnets": [list(subnet) for subnet in self.subnets],
            "driver": self.driver,
            "internal": self.is_internal,
            "attachable": self.is_attachable,
            "ipv6": self.has_ipv6,
            "labels": dict(self.labels),
            "options": dict(self.options),
            "reserved": dict(self.reserved),
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Network:
        """Return the record read from JSON. Raises: KeyError, TypeError, ValueError, StoreError."""
        return cls(
            id=members["id"],
            name=members["name"],
            created=parse_time(members["created"]),
            subnets=tuple((subnet, gateway, part) for subnet, gateway, part in members["subnets"]),
            driver=members["driver"],
            is_internal=bool(members["internal"]),
            is_attachable=bool(members["attachable"]),
            has_ipv6=bool(members["ipv6"]),
            labels=members["labels"],
            options=members["options"],
            reserved=members["reserved"],
        )


def check_network_name(name: str) -> str:
    """Return ``name`` if a network can have it. Raises: InvalidRequest in docker's words."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"invalid network name {name!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-]* are allowed")
    if name in PREDEFINED or name in ("default", "container"):
        raise InvalidRequest(f"operation is not permitted on predefined {name} network")
    return name


def bridge_subnets(*, has_ipv6: bool) -> tuple[tuple[str, str, str], ...]:
    """Return the subnets of the network that is always there."""
    wanted = [_BRIDGE_SUBNET] + ([f"{_UNIQUE_LOCAL}::/64"] if has_ipv6 else [])
    return tuple((subnet, _first(ipaddress.ip_network(subnet)), "") for subnet in wanted)


def chosen_subnets(
    subnets: Sequence[str],
    gateways: Sequence[str],
    ranges: Sequence[str],
    taken: Iterable[str],
    *,
    has_ipv6: bool,
) -> tuple[tuple[str, str, str], ...]:
    """Return the subnets of a new network: those asked for, and free ones for families without.

    ``taken`` are the subnets of the other networks. Raises: InvalidRequest in docker's words.
    """
    others = [ipaddress.ip_network(subnet) for subnet in taken]
    wanted = [_network(subnet) for subnet in subnets]
    for one in wanted:
        if any(one.version == other.version and one.overlaps(other) for other in others):
            raise InvalidRequest("invalid pool request: Pool overlaps with other one on this address space")
    if not any(one.version == 4 for one in wanted):
        wanted.insert(0, _free(others))
    if has_ipv6 and not any(one.version == 6 for one in wanted):
        numbers = (IPv6Network(f"{_UNIQUE_LOCAL}:{number:x}::/64") for number in range(1, 1 << 16))
        wanted.append(next(one for one in numbers if one not in others))
    wanted = [one for one in wanted if one.version == 4 or has_ipv6]
    doors = [_address(gateway, "gateway") for gateway in gateways]
    parts = [_network(part) for part in ranges]
    for door in doors:
        if not any(door in one for one in wanted):
            raise InvalidRequest(f"no matching subnet for gateway {door}")
    for part in parts:
        if not any(part.version == one.version and part.subnet_of(one) for one in wanted):  # type: ignore[arg-type]
            raise InvalidRequest(f"no matching subnet for range {part}")
    found = []
    for one in sorted(wanted, key=lambda one: one.version):
        gateway = next((str(door) for door in doors if door in one), "")
        pool = next((str(part) for part in parts if part.version == one.version), "")
        found.append((str(one), gateway or _first(one), pool))
    return tuple(found)


def next_address(network: Network, version: int, used: Iterable[str], wanted: str = "") -> tuple[str, str]:
    """Return (address with prefix length, gateway) for one more container; both empty without such a subnet.

    ``used`` are the addresses of the others. Raises: InvalidRequest if there is none left or ``wanted`` cannot be had.
    """
    for subnet_text, gateway, part in network.subnets:
        subnet = ipaddress.ip_network(subnet_text)
        if subnet.version != version:
            continue
        taken = {ipaddress.ip_address(text) for text in (gateway, *network.reserved.values(), *used) if text}
        if wanted:
            address = _address(wanted, "address")
            if address not in subnet:
                raise InvalidRequest(
                    f"invalid config for network {network.name}: invalid endpoint settings:\n"
                    f"no configured subnet contains IP address {wanted}"
                )
            if address in taken:
                raise InvalidRequest("Address already in use")
        else:
            pool = ipaddress.ip_network(part) if part else subnet
            address = next((one for one in pool.hosts() if one not in taken), None)  # type: ignore[assignment]
            if address is None:
                raise InvalidRequest(f"no available IPv{version} addresses on this network's address pools: {network}")
        return f"{address}/{subnet.prefixlen}", gateway
    if wanted:
        raise InvalidRequest(
            f"invalid config for network {network.name}: invalid endpoint settings:\n"
            f"no configured subnet contains IP address {wanted}"
        )
    return "", ""


def mac_of(address: str) -> str:
    """Return the hardware address that goes with an IPv4 address."""
    numbers = [0x02, 0x42, *IPv4Address(address.partition("/")[0]).packed]
    return ":".join(f"{number:02x}" for number in numbers)


def _free(others: Sequence[IPv4Network | IPv6Network]) -> IPv4Network:
    bridge = IPv4Network(_BRIDGE_SUBNET)
    used = [bridge, *(other for other in others if isinstance(other, IPv4Network))]
    for text in _POOLS:
        pool = IPv4Network(text)
        if not any(pool.overlaps(other) for other in used):
            return pool
    raise InvalidRequest(
        "all predefined address pools have been fully subnetted", hint="give --subnet, or `minidock network prune`"
    )


def _first(subnet: IPv4Network | IPv6Network) -> str:
    return str(subnet.network_address + 1)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidRequest(f"invalid subnet {text}: invalid CIDR block notation") from error


def _address(text: str, what: str) -> IPv4Address | IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidRequest(f"invalid {what}: {text}") from error
