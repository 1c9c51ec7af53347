"""Instructions of classic BPF, as seccomp filters use them. Runs in the stub.

Source: seccomp(2), linux/filter.h, linux/seccomp.h.
"""

from __future__ import annotations

import struct

LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
JUMP = 0x05
OFFSET_NUMBER, OFFSET_ARCH, OFFSET_ARGUMENTS = 0, 4, 16
ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
LOG = 0x7FFC0000
TRAP = 0x00030000
KILL_THREAD = 0x00000000
KILL_PROCESS = 0x80000000
SUCCEED = 0x00050000  # RET_ERRNO with error number 0; others are added to it


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one instruction; the jumps skip that many instructions."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
