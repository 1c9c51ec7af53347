"""The owners of files that cannot have attributes, as the supervisor of a container noted them.

One line each: inode, time of birth in nanoseconds, uid, gid; of several lines for an inode the last one counts.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping
from typing import NamedTuple

_STATX = {"x86_64": 332}
_STATX_ELSEWHERE = 291  # every machine with the generic table
_AT_SYMLINK_NOFOLLOW, _STATX_BTIME = 0x100, 0x800
_BTIME_OFFSET = 80


class Note(NamedTuple):
    """An owner, and when the file that has it was made: inodes are used again."""

    born: int
    uid: int
    gid: int


Noted = Mapping[int, Note]


def read_notes(path: str) -> dict[int, Note]:
    """Return what was noted, by inode; nothing if there is no such file."""
    try:
        with open(path, encoding="ascii") as file:
            rows = [line.split() for line in file]
    except FileNotFoundError:
        return {}
    return {int(inode): Note(int(born), int(uid), int(gid)) for inode, born, uid, gid in rows}


def birth_time(path: str) -> int:
    """Return when a file (no link is followed) was made, in nanoseconds; 0 where its file system does not say."""
    libc = ctypes.CDLL(None, use_errno=True)
    data = ctypes.create_string_buffer(256)
    number = _STATX.get(os.uname().machine, _STATX_ELSEWHERE)
    arguments = (ctypes.c_long(-100), ctypes.c_char_p(os.fsencode(path)), ctypes.c_long(_AT_SYMLINK_NOFOLLOW))
    if libc.syscall(ctypes.c_long(number), *arguments, ctypes.c_long(_STATX_BTIME), data) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    if not struct.unpack_from("=I", data, 0)[0] & _STATX_BTIME:
        return 0
    seconds, nanoseconds = struct.unpack_from("=qI", data, _BTIME_OFFSET)
    return int(seconds * 1_000_000_000 + nanoseconds)
