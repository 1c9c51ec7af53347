"""The seccomp filter of a process in the words of an OCI configuration. Source: OCI runtime-spec, "Seccomp"."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from minidock.core.seccomp import Action, Profile, default_profile, parse_profile
from minidock.core.security import DEFAULT_PROFILE, UNCONFINED, Security

# The calls of `minidock.runtime.emulation` by name. libseccomp leaves out what an architecture does not have.
EMULATED = (
    *("chown", "chown32", "fchown", "fchown32", "lchown", "lchown32", "fchownat"),
    *("setuid", "setuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setfsuid", "setfsuid32"),
    *("setfsgid", "setfsgid32", "setreuid", "setreuid32", "setregid", "setregid32"),
    *("setresuid", "setresuid32", "setresgid", "setresgid32", "capset"),
)
_FILE_TYPE, _CHARACTER, _BLOCK = 0o170000, 0o020000, 0o060000
_REGULAR, _FIFO, _SOCKET = 0o100000, 0o010000, 0o140000
_ARCHITECTURES = {
    "x86_64": {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_X86": "i386"},
    "aarch64": {"SCMP_ARCH_AARCH64": "aarch64"},
}
_SUCCEED = {"action": "SCMP_ACT_ERRNO", "errnoRet": 0}


def seccomp_of(security: Security, *, emulates_root: bool, machine: str = os.uname().machine) -> dict[str, Any] | None:
    """Return the member ``linux.seccomp``; None if there is nothing to filter. Raises: InvalidRequest."""
    if security.seccomp == UNCONFINED:
        return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": _emulation()} if emulates_root else None
    if security.seccomp == DEFAULT_PROFILE:
        profile = default_profile(security.profile_capabilities, machine)
    else:
        profile = parse_profile(security.seccomp, security.profile_capabilities, machine, _kernel())
    rules = _rules(profile, without=(*EMULATED, "mknod", "mknodat") if emulates_root else ())
    errno = {"defaultErrnoRet": profile.default_errno} if profile.default is Action.ERRNO else {}
    return {
        "defaultAction": profile.default.value,
        **errno,
        "architectures": _architectures(profile, machine),
        "syscalls": [*_emulation(), *_files_only(), *rules] if emulates_root else rules,
    }


def _architectures(profile: Profile, machine: str) -> list[str]:
    """Return the machines whose programs may run; libseccomp adds the one that this is by itself."""
    known = _ARCHITECTURES.get(machine, {})
    return [
        name for name, called in known.items() if profile.machines is None or called in (machine, *profile.machines)
    ]


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)


def _rules(profile: Profile, without: Collection[str]) -> list[dict[str, Any]]:
    """Return the rules of a profile; those for the names ``without`` come from elsewhere."""
    found = []
    for rule in profile.rules:
        names = [name for name in rule.names if name not in without]
        if not names:
            continue
        members: dict[str, Any] = {"names": names, "action": rule.action.value}
        if rule.action is Action.ERRNO:
            members["errnoRet"] = rule.errno
        if rule.conditions:
            members["args"] = [
                {"index": item.index, "value": item.value, "valueTwo": item.other, "op": item.operator.value}
                for item in rule.conditions
            ]
        found.append(members)
    return found


def _files_only() -> list[dict[str, Any]]:
    """Return the rules that let everything but devices be made. (A rule without conditions would hide the others.)"""
    return [
        {
            "names": [name],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": index, "value": _FILE_TYPE, "valueTwo": kind, "op": "SCMP_CMP_MASKED_EQ"}],
        }
        for name, index in (("mknod", 1), ("mknodat", 2))
        for kind in (0, _REGULAR, _FIFO, _SOCKET)
    ]


def _emulation() -> list[dict[str, Any]]:
    """Return the rules that make a single id look like root."""
    rules: list[dict[str, Any]] = [{"names": list(EMULATED), **_SUCCEED}]
    for name, index in (("mknod", 1), ("mknodat", 2)):
        for kind in (_CHARACTER, _BLOCK):
            argument = {"index": index, "value": _FILE_TYPE, "valueTwo": kind, "op": "SCMP_CMP_MASKED_EQ"}
            rules.append({"names": [name], **_SUCCEED, "args": [argument]})
    return rules
