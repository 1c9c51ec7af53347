"""What a container sees of the network: which ones it is connected to, its names, its published ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.published import Published

HOST_GATEWAY = "host-gateway"
HOST_NAMES = ("host.docker.internal", "host.minidock.internal")


class NetworkKind(StrEnum):
    """Whose network a process uses."""

    HOST = "host"
    NONE = "none"
    PRIVATE = "private"  # one of its own, with a way out
    CONTAINER = "container"  # that of another container


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's connection with a network.

    ``address`` and ``address6`` are written with the length of their prefix (``172.18.0.2/16``), empty if there is
    none; ``aliases`` are names besides those that every container has.
    """

    network: str
    network_id: str = ""
    address: str = ""
    gateway: str = ""
    address6: str = ""
    gateway6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    is_internal: bool = False
    has_names: bool = True
    is_asked_for: bool = False  # the address was: ``--ip``
    directory: str = ""  # of the network; like ``names`` known when the container starts only
    names: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "network": self.network,
            "id": self.network_id,
            "address": self.address,
            "gateway": self.gateway,
            "address6": self.address6,
            "gateway6": self.gateway6,
            "mac": self.mac,
            "aliases": list(self.aliases),
            "internal": self.is_internal,
            "names": self.has_names,
            "asked": self.is_asked_for,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Endpoint:
        """Return what `to_json` has written. Raises: KeyError, TypeError."""
        return cls(
            network=members["network"],
            network_id=members["id"],
            address=members["address"],
            gateway=members["gateway"],
            address6=members["address6"],
            gateway6=members["gateway6"],
            mac=members["mac"],
            aliases=tuple(members["aliases"]),
            is_internal=members["internal"],
            has_names=members["names"],
            is_asked_for=members["asked"],
        )


@dataclass(frozen=True, slots=True)
class Networking:
    """The network of a container.

    ``name`` is that of the network as the user said it (``host``, ``none``, ``bridge``, ``container:ID``, one of their
    own). ``extra_hosts`` are (name, address); ``links`` are (container, alias); ``exposed`` reads ``80/tcp``.
    """

    kind: NetworkKind = NetworkKind.HOST
    name: str = "host"
    published: tuple[Published, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    exposed: tuple[str, ...] = ()
    publishes_all: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    domain: str = ""
    control: str = ""  # the directory in which changes are asked for; known when the container starts only
    joined: tuple[int, int] | None = None  # PID and start time of the container whose network it uses

    @property
    def has_own_namespace(self) -> bool:
        """Whether processes get network devices of their own."""
        return self.kind in (NetworkKind.NONE, NetworkKind.PRIVATE)

    @property
    def opens_host(self) -> bool:
        """Whether the gateway leads to the host's own services."""
        return any(address == HOST_GATEWAY for _, address in self.extra_hosts)

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "published": [port.to_json() for port in self.published],
            "endpoints": [endpoint.to_json() for endpoint in self.endpoints],
            "exposed": list(self.exposed),
            "publishes_all": self.publishes_all,
            "dns": [list(self.dns), list(self.dns_search), list(self.dns_options)],
            "extra_hosts": [list(host) for host in self.extra_hosts],
            "links": [list(link) for link in self.links],
            "domain": self.domain,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Networking:
        """Return what `to_json` has written. Raises: KeyError, TypeError, ValueError."""
        dns, search, options = members.get("dns", ((), (), ()))
        return cls(
            kind=NetworkKind(members["kind"]),
            name=members["name"],
            published=tuple(Published.from_json(values) for values in members["published"]),
            endpoints=tuple(Endpoint.from_json(endpoint) for endpoint in members.get("endpoints", ())),
            exposed=tuple(members.get("exposed", ())),
            publishes_all=members.get("publishes_all", False),
            dns=tuple(dns),
            dns_search=tuple(search),
            dns_options=tuple(options),
            extra_hosts=tuple((name, address) for name, address in members.get("extra_hosts", ())),
            links=tuple((name, alias) for name, alias in members.get("links", ())),
            domain=members.get("domain", ""),
        )


@dataclass(frozen=True, slots=True)
class NetworkChoice:
    """One ``--network``: a mode or a network's name, and how the container is to be connected with it."""

    name: str
    aliases: tuple[str, ...] = ()
    address: str = ""
    address6: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class NetworkWish:
    """What the user asks of a container's network; ``options`` has everything that needs no looking up.

    ``expose`` reads as the image's config has it (``80/tcp``).
    """

    choices: tuple[NetworkChoice, ...] = ()
    options: Networking = Networking()

    @property
    def is_of_host(self) -> bool:
        """Whether nothing but the host's network was asked for."""
        is_private = bool(self.options.published or self.options.publishes_all)
        return not is_private and all(choice == NetworkChoice(NetworkKind.HOST.value) for choice in self.choices)

    def with_choice(self, name: str) -> NetworkWish:
        """Return the same wish with one network, if none was named."""
        return self if self.choices else replace(self, choices=(NetworkChoice(name),))


def with_ports(ports: Mapping[str, Any] | tuple[str, ...], published: tuple[Published, ...]) -> tuple[str, ...]:
    """Return every port that a container exposes, published ones too, as ``80/tcp``, sorted by number."""
    found = {*ports, *(f"{port.container_port}/{port.protocol}" for port in published)}
    return tuple(sorted(found, key=lambda text: (int(text.partition("/")[0]), text)))
