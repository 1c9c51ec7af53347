"""One process's time in a store: its temporary directory, its lease, and what it keeps from being collected.

The lease is one flock held for the life of the session. A temporary directory whose lease is free belongs to a
process that died: the next session that writes sweeps it. No clock decides anything.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable

from minidock.core.digest import Digest
from minidock.store.layout import Layout
from minidock.store.locks import Locks, open_lock, try_lock
from minidock.store.writer import Disk, remove_tree


class Session:
    """What one writing process holds; made by `Store.session`, ended by `close` or by the process's death."""

    def __init__(self, layout: Layout, disk: Disk, locks: Locks) -> None:
        self._layout = layout
        self._disk = disk
        self._locks = locks
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._lease_path = layout.path("locks", "lease", self.name)
        self._pinned: set[str] = set()
        self._counter = 0
        # Under gc: a sweeper must not find the lease file before it is locked.
        with locks.shared_gc():
            self._lease = open_lock(self._lease_path)
            assert try_lock(self._lease)
            disk.mkdir(layout.path("tmp", self.name))

    def temporary(self) -> str:
        """Return a path in this session's temporary directory that is not in use."""
        self._counter += 1
        return self._layout.path("tmp", self.name, str(self._counter))

    def pin(self, names: Iterable[Digest]) -> None:
        """Keep blobs, layers and snapshots of these digests until the session ends; look for them afterwards."""
        fresh = [digest.hex for digest in names if digest.hex not in self._pinned]
        if not fresh:
            return
        with self._locks.shared_gc():
            self._disk.write(self._lease, "".join(f"{digits}\n" for digits in fresh).encode())
        self._pinned.update(fresh)

    def publish(self, temporary: str, target: str, mode: int = 0o444) -> None:
        """Give a synced temporary file its final name, durably; a file that has the name already stays.

        For immutable files, named by their content.
        """
        self._disk.chmod(temporary, mode)
        with self._locks.shared_gc():
            try:
                self._disk.link(temporary, target)
            except FileExistsError:
                pass
        self._disk.unlink(temporary)
        self._disk.sync_directory(os.path.dirname(target))

    def replace(self, target: str, data: bytes, *, is_durable: bool = True) -> None:
        """Put a new version of a record in place of the old one, whole or not at all."""
        temporary = self.temporary()
        fd = self._disk.open_new(temporary)
        try:
            self._disk.write(fd, data)
            if is_durable:
                self._disk.sync(fd)
        finally:
            os.close(fd)
        self._disk.rename(temporary, target)
        if is_durable:
            self._disk.sync_directory(os.path.dirname(target))

    def discard(self, path: str) -> None:
        """Remove a file or directory: out of sight at once by a rename into the trash, then for good."""
        grave = self._layout.path("trash", f"{self.name}-{secrets.token_hex(4)}")
        try:
            self._disk.rename(path, grave)
        except FileNotFoundError:
            return
        remove_tree(self._disk, grave)

    def close(self) -> None:
        """End the session: remove what is temporary, then free the lease."""
        remove_tree(self._disk, self._layout.path("tmp", self.name))
        self._disk.unlink(self._lease_path)
        os.close(self._lease)

    def abandon(self) -> None:
        """Let go of the lease without writing anything, as the death of the process would."""
        os.close(self._lease)


def abandoned(layout: Layout) -> list[str]:
    """Return the paths of rubbish: temporary directories and leases of dead processes, and all of the trash."""
    found: list[str] = []
    for name in _names(layout.path("locks", "lease")):
        path = layout.path("locks", "lease", name)
        if not _is_held(path):
            found.append(path)
    leases = set(_names(layout.path("locks", "lease"))) - {os.path.basename(path) for path in found}
    found.extend(layout.path("tmp", name) for name in _names(layout.path("tmp")) if name not in leases)
    found.extend(layout.path("trash", name) for name in _names(layout.path("trash")))
    return found


def sweep(layout: Layout, disk: Disk, locks: Locks) -> None:
    """Remove what dead processes left. Two sweepers at once do no harm."""
    with locks.exclusive_gc():
        rubbish = abandoned(layout)
        graves = []
        for path in rubbish:
            if path.startswith(layout.path("tmp", "")):
                grave = layout.path("trash", f"sweep-{secrets.token_hex(6)}")
                disk.rename(path, grave)
                graves.append(grave)
            elif path.startswith(layout.path("trash", "")):
                graves.append(path)
    for path in graves:
        remove_tree(disk, path)
    # Leases last: while one stands, its temporary directory is still known to be abandoned.
    for path in rubbish:
        if path.startswith(layout.path("locks", "lease", "")):
            remove_tree(disk, path)


def pinned(layout: Layout) -> set[str]:
    """Return the hex digests that living sessions hold. Call it while holding the collector's lock."""
    held: set[str] = set()
    for name in _names(layout.path("locks", "lease")):
        path = layout.path("locks", "lease", name)
        if _is_held(path):
            with open(path, encoding="ascii") as lease:
                held.update(lease.read().split())
    return held


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def _is_held(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(fd)
    finally:
        os.close(fd)
