"""Which user namespace the programs of a store share: its inode, in a file that is locked while one is entered."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.store.layout import Layout
from minidock.store.locks import open_lock
from minidock.store.writer import Disk

_LONGEST = 32


class NamespaceRecord:
    """The record, for as long as nobody else may change it; ``inode`` is 0 where none is known."""

    def __init__(self, disk: Disk, fd: int) -> None:
        self._disk = disk
        self._fd = fd
        text = os.pread(fd, _LONGEST, 0) if fd >= 0 else b""
        self.inode = int(text) if text.isdigit() else 0

    def keep(self, inode: int) -> None:
        """Write down what the next program is to enter."""
        if self._fd < 0 or inode == self.inode:
            return
        os.lseek(self._fd, 0, os.SEEK_SET)
        # Numbers of one length: a shorter one could leave digits behind. What is wrong in it is not found again.
        self._disk.write(self._fd, f"{inode:020}".encode())


@contextmanager
def namespace_record(layout: Layout, disk: Disk) -> Iterator[NamespaceRecord]:
    """Lock the record of a store. Where there is no store yet nothing is kept."""
    try:
        fd = open_lock(layout.path("locks", "namespace"))
    except (FileNotFoundError, NotADirectoryError):
        fd = -1
    try:
        if fd >= 0:
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield NamespaceRecord(disk, fd)
    finally:
        if fd >= 0:
            os.close(fd)
