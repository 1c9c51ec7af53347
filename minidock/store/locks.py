"""Locks between processes: flocks on files, which the kernel releases when their holder dies.

flock and not POSIX record locks: closing any other descriptor of the file would drop those. A descriptor never
reaches a container: all are close-on-exec, and whatever is started is a fresh program.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from minidock.store.layout import Layout
from minidock.store.writer import Disk

Waiting = Callable[[str], None]
_PATIENCE = 1.0  # seconds before a wait is worth a line
_PAUSE = 0.02


def open_lock(path: str) -> int:
    """Return a descriptor of the lock file at ``path``, created if missing (an empty file: no data to lose)."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def try_lock(fd: int, *, exclusive: bool = True) -> bool:
    """Take the lock if it is free; False if somebody holds it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True


def is_locked(path: str) -> bool:
    """Whether a living process holds the lock file at ``path``; a missing file is not locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(fd)
    finally:
        os.close(fd)


def wait_lock(
    fd: int, *, exclusive: bool, what: str, waiting: Waiting | None, check: Callable[[], None] | None = None
) -> None:
    """Take the lock, however long it takes; after a second ``waiting`` is told ``what`` is waited for.

    ``check`` is called again and again meanwhile and may raise: no signal wakes a thread beside the first one.
    """
    if try_lock(fd, exclusive=exclusive):
        return
    started = time.monotonic()
    if check is not None:
        _poll(fd, started, exclusive=exclusive, what=what, waiting=waiting, check=check)
        return
    while waiting is not None and time.monotonic() - started < _PATIENCE:
        time.sleep(_PAUSE)
        if try_lock(fd, exclusive=exclusive):
            return
    if waiting is not None:
        waiting(what)
    fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)


def _poll(
    fd: int, started: float, *, exclusive: bool, what: str, waiting: Waiting | None, check: Callable[[], None]
) -> None:
    is_told = waiting is None
    while not try_lock(fd, exclusive=exclusive):
        check()
        if not is_told and waiting is not None and time.monotonic() - started >= _PATIENCE:
            waiting(what)
            is_told = True
        time.sleep(_PAUSE)


class Locks:
    """The named locks of one store, in the order in which a process may hold them."""

    def __init__(self, layout: Layout, disk: Disk, waiting: Waiting | None = None) -> None:
        self._layout = layout
        self._disk = disk
        self._waiting = waiting
        self._thread = threading.local()

    def waiting(self, what: str) -> Callable[[], None]:
        """Return what to call again and again while ``what`` is waited for; after a second that is told, once."""
        until = time.monotonic() + _PATIENCE
        is_told = self._waiting is None

        def look() -> None:
            nonlocal is_told
            if not is_told and self._waiting is not None and time.monotonic() >= until:
                self._waiting(what)
                is_told = True

        return look

    @contextmanager
    def _held(self, path: str, *, exclusive: bool, what: str) -> Iterator[None]:
        fd = open_lock(path)
        try:
            wait_lock(fd, exclusive=exclusive, what=what, waiting=self._waiting)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def shared_gc(self) -> Iterator[None]:
        """Keep the collector out while pinning or publishing: for moments only."""
        with self._gc(exclusive=False):
            yield

    @contextmanager
    def exclusive_gc(self) -> Iterator[None]:
        """Keep everybody else from pinning and publishing, while deciding what goes and moving it to the trash."""
        with self._gc(exclusive=True):
            yield

    @contextmanager
    def _gc(self, *, exclusive: bool) -> Iterator[None]:
        # The gate: without it holders of the shared lock that keep renewing starve the exclusive one for ever.
        gate = open_lock(self._layout.path("locks", "gate"))
        fd = open_lock(self._layout.path("locks", "gc"))
        try:
            what = "another minidock that changes the store"
            wait_lock(gate, exclusive=True, what=what, waiting=self._waiting)
            wait_lock(fd, exclusive=exclusive, what=what, waiting=self._waiting)
            os.close(gate)
            gate = -1
            self._thread.holds_gc = True
            yield
        finally:
            self._thread.holds_gc = False
            if gate >= 0:
                os.close(gate)
            os.close(fd)

    def wait(self, fd: int, what: str) -> None:
        """Take a lock that is no named one of the store."""
        wait_lock(fd, exclusive=True, what=what, waiting=self._waiting)

    @contextmanager
    def index(self) -> Iterator[None]:
        """Be the only one who changes index.json."""
        with self._held(self._layout.path("locks", "index"), exclusive=True, what="the list of images"):
            yield

    @contextmanager
    def networks(self) -> Iterator[None]:
        """Be the only one who changes networks or gives their addresses to containers; taken before `names`."""
        with self._held(self._layout.path("locks", "networks"), exclusive=True, what="the list of networks"):
            yield

    @contextmanager
    def names(self) -> Iterator[None]:
        """Be the only one who gives or frees the names of containers and volumes."""
        with self._held(self._layout.path("locks", "names"), exclusive=True, what="the list of containers"):
            yield

    @contextmanager
    def key(self, hex_name: str, what: str, check: Callable[[], None] | None = None) -> Iterator[None]:
        """Be the only one who makes one thing (a step, a snapshot); whoever comes second looks again.

        ``check`` ends a wait by raising (`wait_lock`).
        """
        assert not getattr(self._thread, "holds_gc", False), "a key lock is taken before gc, never while holding it"
        path = self._layout.path("locks", "key", hex_name)
        while True:
            fd = open_lock(path)
            try:
                wait_lock(fd, exclusive=True, what=what, waiting=self._waiting, check=check)
                if _is_same_file(fd, path):
                    yield
                    self._forget(path)
                    return
            finally:
                os.close(fd)

    def _forget(self, path: str) -> None:
        # Done while the lock is held: whoever waits for this file finds that the path is another one, and opens that.
        try:
            self._disk.unlink(path)
        except FileNotFoundError:
            pass


def _is_same_file(fd: int, path: str) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
