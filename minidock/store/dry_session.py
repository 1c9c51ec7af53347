"""A session that leaves the store as it is: for finding out what a command would do."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from minidock.core.digest import Digest
from minidock.store.session import Session
from minidock.store.writer import Disk, remove_tree


class DrySession(Session):
    """Holds no lease and writes no record. What has to be fetched to be looked at lies outside of the store."""

    def __init__(self, disk: Disk) -> None:
        self.name = "dry"
        self.tidied_size = 0
        self._disk = disk
        self._directory = ""
        self._numbers = itertools.count(1)

    def temporary(self) -> str:
        """Return a path in a temporary directory of the machine that is not in use."""
        self._directory = self._directory or tempfile.mkdtemp(prefix="minidock-")
        return f"{self._directory}/{next(self._numbers)}"

    def pin(self, names: Iterable[Digest]) -> None:
        """Do nothing: what goes meanwhile was there when it was looked at."""

    def publish(self, temporary: str, target: str, mode: int = 0o444) -> None:
        """Remove the temporary file."""
        self._disk.unlink(temporary)

    def replace(
        self, target: str, data: bytes, *, is_durable: bool = True, then: int = -1, has_spare_block: bool = False
    ) -> None:
        """Do nothing."""

    def discard(self, path: str) -> None:
        """Remove a file or directory of this session."""
        if self._directory and path.startswith(f"{self._directory}/"):
            remove_tree(self._disk, path)

    def close(self, *, has_failed: bool = False) -> None:
        """Remove what was fetched."""
        if self._directory and os.path.isdir(self._directory):
            remove_tree(self._disk, self._directory)


@contextmanager
def dry_session(disk: Disk) -> Iterator[Session]:
    """Begin a session that writes nothing to a store."""
    session = DrySession(disk)
    try:
        yield session
    finally:
        session.close()
