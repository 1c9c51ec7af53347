"""What a process in a container may do: capabilities, system calls, hidden parts of /proc and /sys.

The defaults are docker's: 14 capabilities, its profile of system calls, its masked and read-only paths.
Source: capabilities(7) for the numbers; moby, oci/caps/defaults.go and oci/defaults.go, as seen from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_CAPABILITIES = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
DEFAULT_PROFILE = "default"
UNCONFINED = "unconfined"


@dataclass(frozen=True, slots=True)
class Security:
    """The limits of a process.

    ``capabilities`` are names without ``CAP_``, sorted. ``seccomp`` is `DEFAULT_PROFILE`, `UNCONFINED` or the text of a
    profile in docker's JSON. ``is_privileged`` lifts the masks of /proc and /sys.
    """

    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    seccomp: str = DEFAULT_PROFILE
    no_new_privileges: bool = False
    is_privileged: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "capabilities": list(self.capabilities),
            "seccomp": self.seccomp,
            "no_new_privileges": self.no_new_privileges,
            "privileged": self.is_privileged,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Security:
        """Return what `to_json` has written. Raises: KeyError, TypeError."""
        return cls(
            capabilities=tuple(members["capabilities"]),
            seccomp=members["seccomp"],
            no_new_privileges=members["no_new_privileges"],
            is_privileged=members["privileged"],
        )
