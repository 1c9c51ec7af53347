"""Published ports: what ``-p`` and ``--expose`` say, and how lists show them.

Source: docker/go-connections, nat/nat.go and nat/parse.go, for the grammar and the words of the mistakes::

    publish = [[address ":"] [range] ":"] range ["/" protocol]        range = port ["-" port]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.errors import InvalidRequest

PROTOCOLS = ("tcp", "udp", "sctp")
_NUMBER = re.compile(r"[0-9]{1,5}", re.ASCII)
_LARGEST = 65535


@dataclass(frozen=True, slots=True)
class Published:
    """A port of the container that answers on the host; ``host_ip`` empty: on every address.

    Any of ``host_port`` to ``host_port_end`` will do; 0: any at all.
    """

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0

    @property
    def target(self) -> str:
        """The port of the container as docker writes it: ``80/tcp``."""
        return f"{self.container_port}/{self.protocol}"

    def to_json(self) -> list[Any]:
        """Return the values of a record."""
        return [self.container_port, self.protocol, self.host_ip, self.host_port, self.host_port_end]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Published:
        """Return what `to_json` has written. Raises: TypeError."""
        return cls(*values)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A published port of a container that runs, as it has been bound."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int

    @property
    def target(self) -> str:
        """The port of the container: ``80/tcp``."""
        return f"{self.container_port}/{self.protocol}"

    @property
    def address(self) -> str:
        """The address on the host: ``0.0.0.0:8080``, ``[::]:8080``."""
        return f"{_bracketed(self.host_ip)}:{self.host_port}"


def parse_publish(text: str) -> tuple[Published, ...]:
    """Return what ``-p TEXT`` asks for. Raises: InvalidRequest in docker's words."""
    if "=" in text and ("target=" in text or "published=" in text):
        return _parse_long(text)
    address, host, container = _split(text)
    container, slash, protocol = container.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if not container:
        raise InvalidRequest(f"no port specified: {text}<empty>")
    if protocol not in PROTOCOLS:
        raise InvalidRequest(f"invalid proto: {protocol}")
    if protocol == "sctp":
        raise InvalidRequest(f"cannot publish {text}: sctp is not relayed", hint="tcp and udp are")
    if address:
        import ipaddress  # the records of containers need this module, few of them an address

        try:
            address = str(ipaddress.ip_address(address))
        except ValueError as error:
            raise InvalidRequest(f"invalid IP address: {address}") from error
    first, last = _range(container, "containerPort")
    if not host:
        return tuple(Published(port, protocol, address) for port in range(first, last + 1))
    low, high = _range(host, "hostPort")
    if high - low != last - first:
        if first != last:
            raise InvalidRequest(f"invalid ranges specified for container and host Ports: {container} and {host}")
        return (Published(first, protocol, address, low, high),)
    return tuple(
        Published(port, protocol, address, low + port - first, low + port - first) for port in range(first, last + 1)
    )


def _parse_long(text: str) -> tuple[Published, ...]:
    """Return what the form of services asks for: ``published=8080,target=80,protocol=tcp``."""
    fields = dict(part.strip().partition("=")[::2] for part in text.split(","))
    unknown = set(fields) - {"published", "target", "protocol", "mode"}
    if unknown:
        raise InvalidRequest(f"invalid field key {sorted(unknown)[0]}")
    if not fields.get("target"):
        raise InvalidRequest("missing mandatory field target")
    host = f"{fields['published']}:" if fields.get("published") else ""
    return parse_publish(f"{host}{fields['target']}/{fields.get('protocol', 'tcp')}")


def parse_expose(text: str) -> tuple[str, ...]:
    """Return the ports of ``--expose TEXT`` as ``80/tcp``. Raises: InvalidRequest in docker's words."""
    ports, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if ":" in text:
        raise InvalidRequest(f"invalid port format for --expose: {text}")
    if protocol not in PROTOCOLS:
        raise InvalidRequest(f"invalid proto: {protocol}")
    try:
        first, last = _range(ports, "containerPort")
    except InvalidRequest as error:
        raise InvalidRequest(f"invalid range format for --expose: {error}") from error
    return tuple(f"{port}/{protocol}" for port in range(first, last + 1))


def _split(text: str) -> tuple[str, str, str]:
    """Return address, host port and container port of a short form."""
    rest, colon, container = text.rpartition(":")
    if not colon:
        return "", "", container
    address, _, host = rest.rpartition(":")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    return address, host, container


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = [first, last if dash else first]
    if not all(_NUMBER.fullmatch(number) and int(number) <= _LARGEST for number in numbers):
        raise InvalidRequest(f"invalid {what}: {text}")
    low, high = int(numbers[0]), int(numbers[1])
    if high < low or (not low and what == "containerPort"):
        raise InvalidRequest(f"invalid {what}: {text}")
    return low, high


def shown(exposed: Iterable[str], mapped: Iterable[Mapped]) -> tuple[str, ...]:
    """Return the PORTS column of `ps`: ports that keep their number joined into ranges, then those that do not.

    Source: docker/cli, cli/command/formatter/container.go, DisplayablePorts, as seen from outside.
    """
    bound = list(mapped)
    targets = {port.target for port in bound}
    plain = [port.partition("/")[::2] for port in exposed if port not in targets]
    ports = [*bound, *(Mapped(int(number), protocol, "", 0) for number, protocol in plain)]
    closed: list[str] = []
    moved: list[str] = []
    runs: dict[tuple[str, str], tuple[int, int]] = {}
    for port in sorted(ports, key=lambda port: (port.container_port, port.host_ip, port.host_port, port.protocol)):
        if port.host_ip and port.host_port != port.container_port:
            moved.append(f"{port.address}->{port.target}")
            continue
        key = (port.host_ip, port.protocol)
        first, last = runs.get(key, (port.container_port, port.container_port - 1))
        if port.container_port != last + 1:
            closed.append(_run_text(key, first, last))
            first = port.container_port
        runs[key] = (first, port.container_port)
    return (*closed, *(_run_text(key, *run) for key, run in runs.items()), *moved)


def _run_text(key: tuple[str, str], first: int, last: int) -> str:
    host_ip, protocol = key
    ports = str(first) if first == last else f"{first}-{last}"
    return f"{_bracketed(host_ip)}:{ports}->{ports}/{protocol}" if host_ip else f"{ports}/{protocol}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
