"""What a container printed: one line of text per line or part of a line, with its time and stream.

::

    2026-11-23T15:47:11.888163645Z stdout F a whole line
    2026-11-23T15:47:11.888318144Z stderr P a part, the rest follows in the next entry of this stream

The bytes after the flag are the container's own. A last entry without a line end was cut by a crash and is not shown.
Source: Kubernetes, "CRI log format". The monitor of a container loads this module for its life: it imports little.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from minidock.store.writer import Disk

STDOUT, STDERR = "stdout", "stderr"


def open_log(path: str) -> int:
    """Return a descriptor that appends to the log, made with the container."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)


class LogWriter:
    """Appends to a log; entries are written whole."""

    def __init__(self, disk: Disk, fd: int) -> None:
        self._disk = disk
        self._fd = fd

    def write(self, stream: str, data: bytes) -> None:
        """Append what the container has just printed to ``stream``.

        Without space it is dropped: a container goes on when nobody can keep what it says.
        """
        *lines, rest = data.split(b"\n")
        head = f"{now()} {stream} ".encode()
        text = b"".join(b"%sF %s\n" % (head, line) for line in lines)
        if rest:
            text += b"%sP %s\n" % (head, rest)
        try:
            self._disk.write(self._fd, text)
        except OSError:
            return


def now() -> str:
    """Return the time as RFC 3339 in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"


class LogReader:
    """Reads a log as it grows: each `entries` yields what has been added since the last."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0

    def entries(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield (time, stream, bytes); the bytes of a whole line end in a line end."""
        try:
            file = open(self._path, "rb")  # noqa: SIM115  # the with statement follows
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                parts = line.split(b" ", 3)
                if len(parts) == 4:
                    moment, stream, flag, data = parts
                    yield moment.decode(), stream.decode(), data if flag == b"F" else data[:-1]
