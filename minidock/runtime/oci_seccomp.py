"""The seccomp filter of a process in the words of an OCI configuration. Source: OCI runtime-spec, "Seccomp"."""

from __future__ import annotations

from typing import Any

from minidock.core.security import Security

# The calls of `minidock.runtime.emulation` by name. libseccomp leaves out what an architecture does not have.
EMULATED = (
    *("chown", "chown32", "fchown", "fchown32", "lchown", "lchown32", "fchownat"),
    *("setuid", "setuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setfsuid", "setfsuid32"),
    *("setfsgid", "setfsgid32", "setreuid", "setreuid32", "setregid", "setregid32"),
    *("setresuid", "setresuid32", "setresgid", "setresgid32", "capset"),
)
_FILE_TYPE, _CHARACTER, _BLOCK = 0o170000, 0o020000, 0o060000
_SUCCEED = {"action": "SCMP_ACT_ERRNO", "errnoRet": 0}


def seccomp_of(security: Security, *, emulates_root: bool) -> dict[str, Any] | None:
    """Return the member ``linux.seccomp``; None if there is nothing to filter."""
    if not emulates_root:
        return None
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": _emulation()}


def _emulation() -> list[dict[str, Any]]:
    """Return the rules that make a single id look like root."""
    rules: list[dict[str, Any]] = [{"names": list(EMULATED), **_SUCCEED}]
    for name, index in (("mknod", 1), ("mknodat", 2)):
        for kind in (_CHARACTER, _BLOCK):
            argument = {"index": index, "value": _FILE_TYPE, "valueTwo": kind, "op": "SCMP_CMP_MASKED_EQ"}
            rules.append({"names": [name], **_SUCCEED, "args": [argument]})
    return rules
