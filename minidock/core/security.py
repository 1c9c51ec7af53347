"""What a process in a container may do: capabilities, system calls, hidden parts of /proc and /sys.

The defaults are docker's: 14 capabilities, its profile of system calls, its masked and read-only paths.
Source: capabilities(7) for the numbers; moby, oci/caps/defaults.go and oci/defaults.go, as seen from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minidock.errors import InvalidRequest

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
# In the order of their numbers. Source: linux/capability.h.
ALL_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
_EVERYTHING = "ALL"
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

    @property
    def capability_mask(self) -> int:
        """The capabilities as bits."""
        return sum(1 << ALL_CAPABILITIES.index(name) for name in self.capabilities)

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


def chosen_capabilities(adds: Iterable[str], drops: Iterable[str]) -> tuple[str, ...]:
    """Return the capabilities after ``--cap-add`` and ``--cap-drop``, sorted. Raises: InvalidRequest.

    ``ALL`` stands for every one; what is added wins over ``--cap-drop ALL``, what is dropped over ``--cap-add ALL``.
    """
    added, dropped = [_capability(name) for name in adds], [_capability(name) for name in drops]
    chosen = set(ALL_CAPABILITIES if _EVERYTHING in added else DEFAULT_CAPABILITIES)
    if _EVERYTHING in dropped:
        chosen = set(ALL_CAPABILITIES if _EVERYTHING in added else ())
    chosen |= {name for name in added if name != _EVERYTHING}
    if _EVERYTHING in added or _EVERYTHING not in dropped:
        chosen -= set(dropped)
    return tuple(sorted(chosen))


def _capability(text: str) -> str:
    name = text.strip().upper().removeprefix("CAP_")
    if name != _EVERYTHING and name not in ALL_CAPABILITIES:
        raise InvalidRequest(f'invalid capability: "CAP_{name}"')
    return name
