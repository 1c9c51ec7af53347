"""Builds the one seccomp filter of a process, as BPF instructions.

The only rules so far are those of *root emulation*: in a user namespace with a single id, calls that need other ids
appear to succeed, so that apt, dpkg and tar work. A profile of allowed calls belongs into the same program: across
two filters the stricter answer wins, and "appear to succeed" would lose. Runs in the stub.
Source: Charliecloud's ``--force=seccomp`` for the list of calls; the kernel's syscall tables for the numbers;
seccomp(2) and linux/filter.h for the encoding.
"""

from __future__ import annotations

import os
import struct

_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENTS = 0, 4, 16
ALLOW = 0x7FFF0000
SUCCEED = 0x00050000  # RET_ERRNO with error number 0
_FILE_TYPE, _CHARACTER, _BLOCK = 0o170000, 0o020000, 0o060000

# Machine: AUDIT_ARCH, calls that appear to succeed, and (number, index of the mode argument) of the mknod calls.
_CALLS = {
    "x86_64": (
        0xC000003E,
        # chown fchown lchown fchownat, setuid setgid setgroups, setre[ug]id, setres[ug]id, setfs[ug]id, capset
        (92, 93, 94, 260, 105, 106, 116, 113, 114, 117, 119, 122, 123, 126),
        ((133, 1), (259, 2)),
    ),
    "i386": (
        0x40000003,
        # the same with 16-bit ids, the same with 32-bit ids, fchownat, capset
        (
            *(182, 95, 16, 23, 46, 81, 70, 71, 164, 170, 138, 139),
            *(212, 207, 198, 213, 214, 206, 203, 204, 208, 210, 215, 216),
            *(298, 185),
        ),
        ((14, 1), (297, 2)),
    ),
    "aarch64": (
        0xC00000B7,
        (55, 54, 146, 144, 159, 145, 143, 147, 149, 151, 152, 91),
        ((33, 2),),
    ),
}
_MACHINES = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)}


def program(*, emulates_root: bool, machine: str = os.uname().machine) -> bytes:
    """Return the filter for a process, empty if there is nothing to filter."""
    if not emulates_root:
        return b""
    blocks = [_block(*_CALLS[name]) for name in _MACHINES.get(machine, ())]
    if not blocks:
        return b""
    return _instruction(_LOAD, _OFFSET_ARCH) + b"".join(blocks) + _instruction(_RETURN, ALLOW)


def _block(arch: int, calls: tuple[int, ...], makers: tuple[tuple[int, int], ...]) -> bytes:
    """Return the rules of one architecture; it is skipped, with the architecture still loaded, for another."""
    body = [_instruction(_LOAD, _OFFSET_NUMBER)]
    for number in calls:
        body += [_instruction(_JUMP_EQUAL, number, 0, 1), _instruction(_RETURN, SUCCEED)]
    for number, index in makers:
        body += [
            _instruction(_JUMP_EQUAL, number, 0, 6),
            _instruction(_LOAD, _OFFSET_ARGUMENTS + 8 * index),
            _instruction(_AND, _FILE_TYPE),
            _instruction(_JUMP_EQUAL, _CHARACTER, 1, 0),
            _instruction(_JUMP_EQUAL, _BLOCK, 0, 1),
            _instruction(_RETURN, SUCCEED),
            _instruction(_RETURN, ALLOW),
        ]
    body.append(_instruction(_RETURN, ALLOW))
    return _instruction(_JUMP_EQUAL, arch, 0, len(body)) + b"".join(body)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
