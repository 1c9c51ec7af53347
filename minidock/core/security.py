"""What a process in a container may do: capabilities, system calls, hidden parts of /proc and /sys.

The defaults are docker's: 14 capabilities, its profile of system calls, its masked and read-only paths.
Source: capabilities(7) for the numbers; moby, oci/caps/defaults.go and oci/defaults.go, as seen from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, fields, replace
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.devices import Device
from minidock.core.namespaces import Namespaces
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
EVERYTHING = "ALL"
DEFAULT_PROFILE = "default"
UNCONFINED = "unconfined"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user said, for `inspect` and for warnings; what it comes to is in `Security`.

    ``groups`` are those of ``--group-add``, ``options`` the words of ``--security-opt``, profiles with their text.
    """

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    device_rules: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """Return the members of a record."""
        return {member.name: list(getattr(self, member.name)) for member in fields(self)}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Asked:
        """Return what `to_json` has written. Raises: TypeError."""
        return cls(**{name: tuple(values) for name, values in members.items()})


@dataclass(frozen=True, slots=True)
class Security:
    """The limits of a process.

    ``capabilities`` are names without ``CAP_``, sorted. ``seccomp`` is `DEFAULT_PROFILE`, `UNCONFINED` or the text of a
    profile in docker's JSON. ``is_unmasked`` lifts the masks of /proc and /sys, as ``is_privileged`` does, which makes
    /sys writable besides. ``unlocking`` are the capabilities that the profile goes by if they are others.
    """

    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    seccomp: str = DEFAULT_PROFILE
    no_new_privileges: bool = False
    is_privileged: bool = False
    is_unmasked: bool = False
    devices: tuple[Device, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    namespaces: Namespaces = field(default_factory=Namespaces)
    asked: Asked = field(default_factory=Asked)
    unlocking: tuple[str, ...] | None = None

    @property
    def capability_mask(self) -> int:
        """The capabilities as bits."""
        return sum(1 << ALL_CAPABILITIES.index(name) for name in self.capabilities)

    @property
    def profile_capabilities(self) -> tuple[str, ...]:
        """The capabilities that decide which rules of a profile hold."""
        return self.capabilities if self.unlocking is None else self.unlocking

    @property
    def shows_all(self) -> bool:
        """Whether nothing of /proc and /sys is covered."""
        return self.is_privileged or self.is_unmasked

    def extended(self) -> Security:
        """Return the limits of ``exec --privileged``: every capability, but the profile of the container."""
        return replace(self, capabilities=tuple(sorted(ALL_CAPABILITIES)), unlocking=self.profile_capabilities)

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "capabilities": list(self.capabilities),
            "seccomp": self.seccomp,
            "no_new_privileges": self.no_new_privileges,
            "privileged": self.is_privileged,
            "unmasked": self.is_unmasked,
            "devices": [[device.source, device.target, device.access] for device in self.devices],
            "sysctls": [list(pair) for pair in self.sysctls],
            "namespaces": self.namespaces.to_json(),
            "asked": self.asked.to_json(),
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Security:
        """Return what `to_json` has written. Raises: KeyError, TypeError."""
        return cls(
            capabilities=tuple(members["capabilities"]),
            seccomp=members["seccomp"],
            no_new_privileges=members["no_new_privileges"],
            is_privileged=members["privileged"],
            is_unmasked=members.get("unmasked", False),
            devices=tuple(Device(*values) for values in members.get("devices", ())),
            sysctls=tuple((name, value) for name, value in members.get("sysctls", ())),
            namespaces=Namespaces.from_json(members.get("namespaces", {})),
            asked=Asked.from_json(members.get("asked", {})),
        )


def unconfined() -> Security:
    """Return the limits of a privileged process: none that a container has."""
    return Security(capabilities=tuple(sorted(ALL_CAPABILITIES)), seccomp=UNCONFINED, is_privileged=True)


def chosen_capabilities(adds: Iterable[str], drops: Iterable[str]) -> tuple[str, ...]:
    """Return the capabilities after ``--cap-add`` and ``--cap-drop``, sorted; the names are normal.

    ``ALL`` stands for every one; what is added wins over ``--cap-drop ALL``, what is dropped over ``--cap-add ALL``.
    """
    added, dropped = list(adds), list(drops)
    chosen = set(ALL_CAPABILITIES if EVERYTHING in added else DEFAULT_CAPABILITIES)
    if EVERYTHING in dropped:
        chosen = set(ALL_CAPABILITIES if EVERYTHING in added else ())
    chosen |= {name for name in added if name != EVERYTHING}
    if EVERYTHING in added or EVERYTHING not in dropped:
        chosen -= set(dropped)
    return tuple(sorted(chosen))


def normal_capabilities(option: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return names without CAP_, in capitals, each once, sorted. Raises: InvalidRequest, with ``option``'s name."""
    return tuple(sorted({_capability(option, name) for name in names}))


def _capability(option: str, text: str) -> str:
    name = text.strip().upper().removeprefix("CAP_")
    if name != EVERYTHING and name not in ALL_CAPABILITIES:
        raise InvalidRequest(f'invalid {option}: unknown capability: "CAP_{name}"')
    return name
