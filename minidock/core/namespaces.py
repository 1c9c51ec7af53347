"""Which namespaces a container has to itself. Source: moby, container/hostconfig_unix.go, as seen from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.errors import InvalidRequest

HOST = "host"
_OTHER = "container:"
_OWN_IPC = ("", "private", "shareable")


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The values of ``--ipc``, ``--pid``, ``--uts``, ``--userns`` and ``--cgroupns``; empty for a namespace of its own.

    A user namespace is there or not whatever is asked for: it is what a plain user's privileges consist of.
    """

    ipc: str = ""
    pid: str = ""
    uts: str = ""
    user: str = ""
    cgroup: str = ""

    @classmethod
    def parse(cls, *, ipc: str, pid: str, uts: str, user: str, cgroup: str) -> Namespaces:
        """Return the namespaces that the options name. Raises: InvalidRequest in docker's words."""
        for option, value in (("ipc", ipc), ("pid", pid)):
            if value.startswith(_OTHER) and value != _OTHER:
                raise InvalidRequest(
                    f"--{option} {value}: the namespace of another container cannot be joined",
                    hint="containers can share a network (--network container:NAME) and volumes",
                )
        if ipc not in (*_OWN_IPC, "none", HOST):
            raise InvalidRequest(f"Invalid IPC mode: {ipc}")
        for option, kind, value, own in (
            ("pid", "PID", pid, ()),
            ("uts", "UTS", uts, ()),
            ("userns", "USER", user, ()),
            ("cgroupns", "CGROUP", cgroup, ("private",)),
        ):
            if value not in ("", HOST, *own):
                raise InvalidRequest(f"--{option}: invalid {kind} mode")
        return cls(ipc, pid, uts, user, cgroup)

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {member.name: getattr(self, member.name) for member in fields(self)}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Namespaces:
        """Return what `to_json` has written. Raises: TypeError."""
        return cls(**members)
