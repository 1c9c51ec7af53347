"""One process's time in a store: its temporary directory, its lease, and what it keeps from being collected.

The lease is one flock held for the life of the session. A temporary directory whose lease is free belongs to a
process that died: the next session that writes sweeps it. No clock decides anything.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import threading
from collections.abc import Iterable

from minidock.core.digest import Digest
from minidock.store.layout import PARTIAL, Layout
from minidock.store.locks import Locks, is_locked, open_lock
from minidock.store.spare_block import keep_spare_block
from minidock.store.writer import Disk, remove_tree


class Session:
    """What one writing process holds; made by `Store.session`, ended by `close` or by the process's death."""

    def __init__(self, layout: Layout, disk: Disk, locks: Locks) -> None:
        self._layout = layout
        self._disk = disk
        self._locks = locks
        self.name = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.tidied_size = 0  # bytes that came back when it began, from what dead sessions had left
        self._lease_path = layout.path("locks", "lease", self.name)
        self._pinned: set[str] = set()
        self._grave = ""
        self._counter = itertools.count(1)  # atomic: a build has several threads
        self._pinning = threading.Lock()
        # Under gc: a sweeper must not find the lease file before it is locked.
        with locks.shared_gc():
            self._lease = open_lock(self._lease_path)
            try:
                # Waits: whoever looks whether a lease is free holds it for a moment.
                fcntl.flock(self._lease, fcntl.LOCK_EX)
                disk.mkdir(layout.path("tmp", self.name))
            except BaseException:
                os.close(self._lease)
                raise

    def temporary(self) -> str:
        """Return a path in this session's temporary directory that is not in use."""
        return self._layout.path("tmp", self.name, str(next(self._counter)))

    def pin(self, names: Iterable[Digest]) -> None:
        """Keep blobs, layers and snapshots of these digests until the session ends; look for them afterwards."""
        wanted = [digest.hex for digest in names]
        with self._pinning:  # whoever finds a name here relies on its being in the lease
            fresh = [digits for digits in wanted if digits not in self._pinned]
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

    def replace(
        self, target: str, data: bytes, *, is_durable: bool = True, then: int = -1, has_spare_block: bool = False
    ) -> None:
        """Put a new version of a record in place of the old one, whole or not at all.

        It is ``data``, and after that all of the open file ``then``. One that ``has_spare_block`` takes the same on
        any disk, in pieces or not (`spare_block`).
        """
        temporary = self.temporary()
        fd = self._disk.open_new(temporary)
        try:
            self._disk.write(fd, data)
            if then >= 0:
                self._disk.copy_range(then, fd, os.fstat(then).st_size, 0)
            if is_durable:
                self._disk.sync(fd)
            if has_spare_block:
                keep_spare_block(self._disk, fd)
        finally:
            os.close(fd)
        self._disk.rename(temporary, target)
        if is_durable:
            self._disk.sync_directory(os.path.dirname(target))

    def discard(self, path: str) -> None:
        """Remove a file or directory: out of sight at once by a rename into the trash, then for good."""
        remove_tree(self._disk, self.bury(path))

    def bury(self, path: str) -> str:
        """Move a file or directory into the trash and return where it is now; it still has to be removed.

        Missing is fine: somebody else was first. On a disk too full for the new name the path stays what it is.
        """
        try:
            if not self._grave:
                # A folder of its own: the trash's would grow with many names, and stay so.
                self._grave = self._layout.path("trash", f"{self.name}-{os.urandom(4).hex()}")
                self._disk.mkdir(self._grave)
            grave = f"{self._grave}/{next(self._counter)}"
            self._disk.rename(path, grave)
        except FileNotFoundError:
            return path
        except OSError as error:
            if not os.path.isdir(self._grave):
                self._grave = ""
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return path
        return grave

    def close_grave(self) -> None:
        """Remove the folder of what was buried, once all of that is gone."""
        try:
            if self._grave and not os.listdir(self._grave):
                self._disk.rmdir(self._grave)
        except FileNotFoundError:  # somebody has emptied the trash by hand
            pass
        self._grave = ""

    def close(self, *, has_failed: bool = False) -> None:
        """End the session: remove what is temporary, then free the lease.

        The lease file of a session that failed stays, free: it tells the next session that things may lie about
        which nothing names.
        """
        try:
            remove_tree(self._disk, self._layout.path("tmp", self.name))
            if not has_failed:
                self.close_grave()
            if not has_failed:
                self._disk.unlink(self._lease_path)
        finally:
            os.close(self._lease)

    def forget(self, leases: Iterable[str]) -> None:
        """Remove the lease files of sessions that died, after everything that they left is gone."""
        for path in leases:
            self.tidied_size += remove_tree(self._disk, path)


def abandoned(layout: Layout) -> list[str]:
    """Return the paths of rubbish: temporary directories, trash and leases of dead processes."""
    found: list[str] = []
    for name in _names(layout.path("locks", "lease")):
        path = layout.path("locks", "lease", name)
        if not is_locked(path):
            found.append(path)
    leases = set(_names(layout.path("locks", "lease"))) - {os.path.basename(path) for path in found}
    found.extend(layout.path("tmp", name) for name in _names(layout.path("tmp")) if name not in (*leases, PARTIAL))
    # What a living session has buried is its own to remove: more of it may be on its way into the same folder.
    found.extend(layout.path("trash", name) for name in _names(layout.path("trash")) if _buried_by(name) not in leases)
    return found


def _buried_by(name: str) -> str:
    """Return the name of the session that has made a folder in the trash."""
    return name.rpartition("-")[0]


def sweep(layout: Layout, disk: Disk, locks: Locks) -> tuple[list[str], int]:
    """Remove what dead sessions were writing and throwing away; return their lease files and the bytes freed.

    The leases stay: they are the evidence that blobs may be there which nothing names, until those are collected.
    Two sweepers at once do no harm.
    """
    graves, leases = [], []
    with locks.exclusive_gc():
        for path in abandoned(layout):
            if path.startswith(layout.path("tmp", "")):
                grave = layout.path("trash", f"sweep-{os.urandom(6).hex()}")
                try:
                    disk.rename(path, grave)
                except FileNotFoundError:
                    continue  # whoever is making the store was done with it
                graves.append(grave)
            elif path.startswith(layout.path("trash", "")):
                graves.append(path)
            else:
                leases.append(path)
    return leases, sum(remove_tree(disk, path) for path in graves)


def living(layout: Layout) -> list[str]:
    """Return the names of the sessions whose processes live."""
    return [name for name in _names(layout.path("locks", "lease")) if is_locked(layout.path("locks", "lease", name))]


def pinned(layout: Layout) -> set[str]:
    """Return the hex digests that living sessions hold. Call it while holding the collector's lock."""
    held: set[str] = set()
    for name in living(layout):
        try:
            with open(layout.path("locks", "lease", name), encoding="ascii") as lease:
                held.update(lease.read().split())
        except FileNotFoundError:
            continue  # it has just ended, and what it made has names
    return held


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []
