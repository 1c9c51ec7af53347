"""What has happened in a store: one JSON object a line, appended by every process, bounded in size.

``events`` is written until it is a mebibyte long, then it becomes ``events.1`` in place of the one before. A line that
a crash or a full disk has cut is skipped by readers. The monitor of a container loads this module for its life: it
imports little.

Whatever makes something has blocks allocated ahead, so that the end of it, told here too, takes none: what a removal
frees is foretold to the byte, and on a fragmented file system nobody could tell what one more block of a file costs.
Nor could anybody tell when a file system takes a block for the map of a file's pieces, or gives it back: ext4 does when
there are more than four, and an allocated block that is written is a piece of its own for a while. So there are five
pieces from the beginning that never meet.
"""

from __future__ import annotations

import fcntl
import os
import time

from minidock.store.spare_block import beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from minidock.store.writer import Disk

_MOST_BYTES = 1 << 20
_AHEAD = 64 << 10  # some three hundred events
_FAR = 4 << 20  # where, and how far from each other, pieces of one block stand that the record never grows to
_APART = 5
_MAKING = ("create", "start", "pull", "push", "load", "save", "import", "tag")


def append(disk: Disk, root: str, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
    """Add an event to the record of the store at ``root``, with the present time.

    Nothing fails because its event cannot be written: what happened has happened.
    """
    try:
        _append(disk, root, line_of(kind, action, actor, attributes), is_making=action in _MAKING)
    except OSError:
        return


def line_of(kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> bytes:
    """Return the line that tells an event that happens now."""
    import json

    event = {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": actor, "Attributes": dict(sorted(attributes.items()))},
        "timeNano": time.time_ns(),
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape") + b"\n"


def growth(root: str, lines: Iterable[bytes]) -> int:
    """Return how many bytes more the record takes on the disk once ``lines`` have been added."""
    block = os.stat(root).st_blksize
    size, taken = _sizes(f"{root}/events")
    older = _sizes(f"{root}/events.1")[1]
    before = taken + older
    # Blocks that hold no event and never will: those pieces and their map.
    extra = (_APART + 1) * block if taken > _up(size, block) + _APART * block else 0
    for line in lines:
        is_long = size > _MOST_BYTES
        size += len(line)
        taken = max(taken, _up(size, block) + extra)
        if is_long:
            older, taken, size, extra = taken, 0, 0, 0
    return taken + older - before


def _up(size: int, block: int) -> int:
    return -(-size // block) * block


def _sizes(path: str) -> tuple[int, int]:
    """Return the length of a file and what it takes on the disk: a fragmented one a block more than its content."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_blocks * 512


def _append(disk: Disk, root: str, line: bytes, *, is_making: bool) -> None:
    path = f"{root}/events"
    lock = os.open(f"{root}/locks/events", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            size = os.fstat(log).st_size
            if size and os.pread(log, 1, size - 1) != b"\n":
                line = b"\n" + line  # after the rest of a line that was never finished
            disk.write(log, line)
            if is_making:
                _allocate(disk, log, size + len(line))
        finally:
            os.close(log)
        if size > _MOST_BYTES:
            disk.rename(path, f"{path}.1")
    finally:
        os.close(lock)


def _allocate(disk: Disk, log: int, size: int) -> None:
    status = os.fstat(log)
    if status.st_blocks * 512 >= size + _AHEAD + (_APART + 1) * status.st_blksize:
        return
    try:
        for number in range(1, _APART + 1):
            disk.allocate(log, number * _FAR, status.st_blksize)
        has_map = beside(os.fstat(log)) > _APART * status.st_blksize
        if not has_map:  # on tmpfs, for one: as many blocks as with it
            disk.allocate(log, (_APART + 1) * _FAR, status.st_blksize)
        disk.allocate(log, size, 2 * _AHEAD)
    except OSError:
        return  # no space, or a file system that cannot: then a forecast may be wrong by a block


class EventReader:
    """Reads the record as it grows: each `events` yields what has been added since the last."""

    def __init__(self, root: str) -> None:
        self._path = f"{root}/events"
        self._inode = 0
        self._offset = 0

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events, oldest first; times are those of their writers and need not be in order."""
        if not self._inode:
            yield from self._read(f"{self._path}.1", is_current=False)
        else:
            older = _inode(f"{self._path}.1")
            if older == self._inode:  # what was current has been put away
                yield from self._read(f"{self._path}.1", is_current=True)
                self._inode = self._offset = 0
        yield from self._read(self._path, is_current=True)

    def _read(self, path: str, *, is_current: bool) -> Iterator[dict[str, Any]]:
        import json

        try:
            file = open(path, "rb")  # noqa: SIM115  # the with statement follows
        except FileNotFoundError:
            return
        with file:
            if is_current:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:
                    self._inode, self._offset = inode, 0
                file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                if is_current:
                    self._offset += len(line)
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    yield event


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0
