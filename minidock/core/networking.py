"""What a container sees of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class NetworkKind(StrEnum):
    """Whose network a process uses."""

    HOST = "host"
    NONE = "none"
    PRIVATE = "private"  # one of its own, with a way out


@dataclass(frozen=True, slots=True)
class Published:
    """A port of the container that answers on the host; ``host_ip`` empty: on every address; ``host_port`` 0: any."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0


@dataclass(frozen=True, slots=True)
class Networking:
    """The network of a container.

    ``name`` is that of the network as the user said it (``host``, ``none``, ``bridge``, one of their own).
    ``extra_hosts`` are (name, address).
    """

    kind: NetworkKind = NetworkKind.HOST
    name: str = "host"
    published: tuple[Published, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()

    @property
    def has_own_namespace(self) -> bool:
        """Whether processes get network devices of their own."""
        return self.kind is not NetworkKind.HOST

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "published": [
                [port.container_port, port.protocol, port.host_ip, port.host_port] for port in self.published
            ],
            "extra_hosts": [list(host) for host in self.extra_hosts],
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Networking:
        """Return what `to_json` has written. Raises: KeyError, TypeError, ValueError."""
        return cls(
            kind=NetworkKind(members["kind"]),
            name=members["name"],
            published=tuple(Published(*values) for values in members["published"]),
            extra_hosts=tuple((name, address) for name, address in members.get("extra_hosts", ())),
        )
