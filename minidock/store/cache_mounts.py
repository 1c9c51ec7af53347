"""Cache mounts of build steps: directories that outlive the builds that fill them.

::

    cache/mounts/HEX/        HEX: sha256 of what names it
      record.json            the name as written, when it was made
      lock                   flock of those who use it: shared, or alone; its time is that of the last use
      data/                  what the steps see

Whoever begins to use one does so under the collector's shared lock: a prune, which has it alone, sees who is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from minidock.core.canonical import dumps
from minidock.core.times import format_time, parse_time
from minidock.store.layout import Layout
from minidock.store.locks import Locks, is_locked, open_lock, try_lock
from minidock.store.session import Session
from minidock.store.writer import Disk, remove_tree, write_new

Fill = Callable[[str], None]


class CacheMount(NamedTuple):
    """One cache mount; ``last_used`` is seconds since the epoch, ``path`` its directory in the store."""

    key: str
    name: str
    created: datetime
    last_used: float
    is_in_use: bool
    path: str


class CacheMounts:
    """The cache mounts of a store."""

    def __init__(self, layout: Layout, disk: Disk, locks: Locks) -> None:
        self._layout = layout
        self._disk = disk
        self._locks = locks

    @contextmanager
    def shared(self, session: Session, name: str, now: datetime, fill: Fill) -> Iterator[str]:
        """Use the mount called ``name`` along with others; give its directory. ``fill`` fills a new one."""
        with self._taken(session, name, now, fill, exclusive=False) as path:
            yield path

    @contextmanager
    def locked(self, session: Session, name: str, now: datetime, fill: Fill) -> Iterator[str]:
        """Use the mount alone, waiting for whoever has it."""
        with self._taken(session, name, now, fill, exclusive=True) as path:
            yield path

    @contextmanager
    def private(self, session: Session, name: str, now: datetime, fill: Fill) -> Iterator[str]:
        """Use the first of the mounts called ``name`` that nobody uses, one more if need be."""
        number = 0
        while True:
            candidate = name if number == 0 else f"{name} #{number}"
            fd = self._begin(session, candidate, now, fill, exclusive=True)
            if fd is not None:
                break
            number += 1
        try:
            yield self._data(candidate)
        finally:
            os.close(fd)

    def list(self) -> tuple[CacheMount, ...]:
        """Return all mounts, by key."""
        found: tuple[CacheMount, ...] = ()
        for key in self._names():
            path = self._layout.path("cache", "mounts", key)
            try:
                with open(f"{path}/record.json", "rb") as file:
                    members = json.load(file)
                used = os.stat(f"{path}/lock").st_mtime
                name, created = str(members["name"]), parse_time(members["created"])
            except (OSError, ValueError, KeyError, TypeError):
                continue  # being made or removed, or damaged: then pruning takes it
            found += (CacheMount(key, name, created, used, is_locked(f"{path}/lock"), path),)
        return found

    def data(self, mount: CacheMount) -> str:
        """Return the directory that steps see."""
        return f"{mount.path}/data"

    def unused_paths(self) -> tuple[str, ...]:
        """Return the directories of mounts that nobody uses; call it while holding the collector's lock alone."""
        paths = (self._layout.path("cache", "mounts", key) for key in self._names())
        return tuple(path for path in paths if not is_locked(f"{path}/lock"))

    def empty(self, session: Session, name: str) -> None:
        """Remove what the mount holds, if nobody uses it."""
        with self._locks.exclusive_gc():
            path = self._directory(name)
            grave = session.bury(path) if os.path.exists(path) and not is_locked(f"{path}/lock") else ""
        if grave:
            remove_tree(self._disk, grave)

    def _names(self) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(self._layout.path("cache", "mounts"))))
        except FileNotFoundError:
            return ()

    def _directory(self, name: str) -> str:
        return self._layout.path("cache", "mounts", sha256(name.encode("utf-8", "surrogateescape")).hexdigest())

    def _data(self, name: str) -> str:
        return f"{self._directory(name)}/data"

    @contextmanager
    def _taken(self, session: Session, name: str, now: datetime, fill: Fill, *, exclusive: bool) -> Iterator[str]:
        fd = self._begin(session, name, now, fill, exclusive=exclusive)
        while fd is None:
            self._wait(name)
            fd = self._begin(session, name, now, fill, exclusive=exclusive)
        try:
            yield self._data(name)
        finally:
            os.close(fd)

    def _begin(self, session: Session, name: str, now: datetime, fill: Fill, *, exclusive: bool) -> int | None:
        """Return a descriptor that holds the lock of a mount, made if it is missing; None if others are in the way."""
        lock = f"{self._directory(name)}/lock"
        while True:
            with self._locks.shared_gc():
                try:
                    fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
                except FileNotFoundError:
                    fd = -1
                if fd >= 0 and try_lock(fd, exclusive=exclusive):
                    os.utime(fd)
                    return fd
            if fd >= 0:
                os.close(fd)
                return None
            self._make(session, name, now, fill)

    def _wait(self, name: str) -> None:
        """Wait until whoever has a mount alone, or keeps others out, has gone."""
        try:
            fd = os.open(f"{self._directory(name)}/lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            self._locks.wait(fd, f"another build that uses the cache mount {name}")
        finally:
            os.close(fd)

    def _make(self, session: Session, name: str, now: datetime, fill: Fill) -> None:
        target = self._directory(name)
        with self._locks.key(os.path.basename(target), f"another build that fills the cache mount {name}"):
            if os.path.exists(target):
                return
            if not os.path.exists(os.path.dirname(target)):  # a store that an earlier version made
                self._disk.mkdir(os.path.dirname(target))
            temporary = session.temporary()
            self._disk.mkdir(temporary)
            self._disk.mkdir(f"{temporary}/data", 0o755)
            fill(f"{temporary}/data")
            write_new(self._disk, f"{temporary}/record.json", dumps({"name": name, "created": format_time(now)}))
            os.close(open_lock(f"{temporary}/lock"))
            with self._locks.shared_gc():
                self._disk.rename(temporary, target)
