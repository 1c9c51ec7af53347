"""Builds the one seccomp filter of a process.

The only rules so far are those of root emulation. A profile of allowed calls belongs into the same program: across
two filters the stricter answer wins, and "appear to succeed" would lose. Runs in the stub.
"""

from __future__ import annotations

import os

from minidock.runtime.bpf import (
    ALLOW,
    AND,
    JUMP_EQUAL,
    LOAD,
    OFFSET_ARCH,
    OFFSET_ARGUMENTS,
    OFFSET_NUMBER,
    RETURN,
    SUCCEED,
    instruction,
)
from minidock.runtime.emulation import BLOCK, CALLS, CHARACTER, FILE_TYPE, MACHINES


def program(*, emulates_root: bool, machine: str = os.uname().machine) -> bytes:
    """Return the filter for a process, empty if there is nothing to filter."""
    if not emulates_root:
        return b""
    blocks = [_block(*CALLS[name]) for name in MACHINES.get(machine, ())]
    if not blocks:
        return b""
    return instruction(LOAD, OFFSET_ARCH) + b"".join(blocks) + instruction(RETURN, ALLOW)


def _block(arch: int, calls: tuple[int, ...], makers: tuple[tuple[int, int], ...]) -> bytes:
    """Return the rules of one architecture; it is skipped, with the architecture still loaded, for another."""
    body = [instruction(LOAD, OFFSET_NUMBER)]
    for number in calls:
        body += [instruction(JUMP_EQUAL, number, 0, 1), instruction(RETURN, SUCCEED)]
    for number, index in makers:
        body += [
            instruction(JUMP_EQUAL, number, 0, 6),
            instruction(LOAD, OFFSET_ARGUMENTS + 8 * index),
            instruction(AND, FILE_TYPE),
            instruction(JUMP_EQUAL, CHARACTER, 1, 0),
            instruction(JUMP_EQUAL, BLOCK, 0, 1),
            instruction(RETURN, SUCCEED),
            instruction(RETURN, ALLOW),
        ]
    body.append(instruction(RETURN, ALLOW))
    return instruction(JUMP_EQUAL, arch, 0, len(body)) + b"".join(body)
