"""The build context: the files of a directory as a tree of entries, read as little as possible.

Somebody else may be changing it. So every name is looked up from the directory's own descriptor, component by component
and without following links: what turns into a link meanwhile leads nowhere.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256

from xxhash import xxh3_128

from minidock.core.dockerfile.glob import has_wildcard
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.entries import BLOCK, CHAR, DIRECTORY, FIFO, FILE, SYMLINK, Entry, Tree, join, parent_of
from minidock.core.selecting import clean
from minidock.errors import BuildError
from minidock.store.layer_writer import ContentChanged
from minidock.store.statcache import Fingerprint, StatCache

_CHUNK = 1 << 20
_LARGE = 1 << 20  # bytes of a file that is read in a thread of its own
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL)  # of a name that was there before


class Context:
    """A directory on the host, seen through its ignore rules.

    Everything belongs to 0:0. `tree` knows names and attributes only; `hashed` adds the digests of the files asked for.
    """

    def __init__(self, root: str, rules: IgnoreRules, stats: StatCache) -> None:
        self.root = root
        self.rules = rules
        self._stats = stats
        self._entries: dict[str, Entry] = {}
        self._statuses: dict[str, os.stat_result] = {}
        self._scanned: set[str] = set()
        self.read_size = 0  # bytes of files that had to be opened
        self._fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)

    def tree(self, patterns: Iterable[str]) -> Tree:
        """Return a tree that holds at least what the ``patterns`` can name, and what links there lead to."""
        for pattern in patterns:
            literal: list[str] = []
            for part in clean(pattern).split("/"):
                if not part or has_wildcard(part):
                    break
                literal.append(part)
            self._scan_prefix(literal)
        if any(entry.kind == SYMLINK for entry in self._entries.values()):
            self._scan("")  # a link may lead anywhere in the context
        root = Entry("", DIRECTORY, 0o755, mtime=int(os.fstat(self._fd).st_mtime))
        return Tree({"": root, **self._entries})

    def _scan_prefix(self, parts: list[str]) -> None:
        path = ""
        for part in parts:
            path = join(path, part)
            try:
                status = self._status(path)
            except (FileNotFoundError, NotADirectoryError):
                return
            except PermissionError as error:
                raise _unreadable(path) from error
            is_directory = stat.S_ISDIR(status.st_mode)
            if not self.rules.is_ignored(path):
                self._add(path, status)
            elif not (is_directory and self.rules.may_hold_included(path)):
                return
            if not is_directory:
                return
        self._scan(path)

    @contextmanager
    def _above(self, path: str) -> Iterator[tuple[int, str]]:
        """Give a descriptor of the directory that holds ``path``, and the last name."""
        *directories, name = path.split("/")
        fd = self._fd
        try:
            for directory in directories:
                following = os.open(directory, _STEP, dir_fd=fd)
                if fd != self._fd:
                    os.close(fd)
                fd = following
            yield fd, name
        finally:
            if fd != self._fd:
                os.close(fd)

    def _status(self, path: str) -> os.stat_result:
        with self._above(path) as (above, name):
            return os.stat(name, dir_fd=above, follow_symlinks=False)

    def _scan(self, directory: str) -> None:
        pending = [directory]
        while pending:
            current = pending.pop()
            if current not in self._scanned:
                self._scanned.add(current)
                pending += self._scan_one(current)

    def _scan_one(self, directory: str) -> list[str]:
        """Add what a directory holds; return the directories in it that are to be looked into."""
        below = []
        with self._listing(directory) as items:
            for item in items:
                path = join(directory, item.name)
                is_directory = item.is_dir(follow_symlinks=False)
                if not self.rules.is_ignored(path):
                    self._add_item(path, item)
                elif not is_directory or not self.rules.may_hold_included(path):
                    continue
                if is_directory:
                    below.append(path)
        return below

    @contextmanager
    def _listing(self, directory: str) -> Iterator[list[os.DirEntry[str]]]:
        """Give what is in a directory, sorted; nothing if it is gone since its parent was listed."""
        try:
            with self._above(directory or ".") as (above, name):
                fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        except PermissionError as error:
            raise _unreadable(directory) from error
        except (FileNotFoundError, NotADirectoryError):
            yield []
            return
        try:
            with os.scandir(fd) as listing:  # by the descriptor: items are looked at in this very directory
                items = sorted(listing, key=lambda item: item.name)
            yield items
        finally:
            os.close(fd)

    def _add_item(self, path: str, item: os.DirEntry[str]) -> None:
        try:
            self._add(path, item.stat(follow_symlinks=False))
        except FileNotFoundError:
            return  # gone since its parent was listed
        except PermissionError as error:
            raise _unreadable(path) from error

    def _add(self, path: str, status: os.stat_result) -> None:
        directory = parent_of(path)
        if directory and directory not in self._entries:
            # An ignored directory is there for the sake of what an exception takes back below it, and only then.
            try:
                self._add(directory, self._status(directory))
            except OSError as error:
                raise _explained(error, directory) from error
        mode = stat.S_IMODE(status.st_mode)
        mtime = int(status.st_mtime_ns // 1_000_000_000)
        entry = Entry(path, FILE, mode, mtime=mtime)  # also a socket: it arrives as an empty file
        if stat.S_ISDIR(status.st_mode):
            entry = entry._replace(kind=DIRECTORY)
        elif stat.S_ISLNK(status.st_mode):
            entry = entry._replace(kind=SYMLINK, mode=0o777, linkname=self._target(path))
        elif stat.S_ISFIFO(status.st_mode):
            entry = entry._replace(kind=FIFO)
        elif stat.S_ISREG(status.st_mode):
            entry = entry._replace(size=status.st_size)
            if status.st_nlink > 1:  # names of one inode are known by that
                entry = entry._replace(linkname=f"{status.st_dev}:{status.st_ino}")
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            kind = CHAR if stat.S_ISCHR(status.st_mode) else BLOCK
            device = status.st_rdev
            entry = entry._replace(kind=kind, major=os.major(device), minor=os.minor(device))
        self._entries[path] = entry
        self._statuses[path] = status

    def _target(self, path: str) -> str:
        try:
            with self._above(path) as (above, name):
                return os.readlink(name, dir_fd=above)
        except OSError as error:
            raise _explained(error, path) from error

    def open(self, path: str) -> int:
        """Return an open descriptor of a file of the context, nothing at all for a socket.

        Raises: ContentChanged if it is no file any more, BuildError if it may not be read.
        """
        if not stat.S_ISREG(self._statuses[path].st_mode):
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self._above(path) as (above, name):
                # Not blocking: it may be a fifo by now.
                flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
                fd = os.open(name, flags, dir_fd=above)
        except OSError as error:
            raise _explained(error, path) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ContentChanged(path)
        return fd

    def hashed(self, paths: Iterable[str]) -> dict[str, Fingerprint]:
        """Return the fingerprints of regular files; only those are opened that the stat cache does not know."""
        known: dict[str, Fingerprint] = {}
        unknown: list[str] = []
        for path in paths:
            status = self._statuses[path]
            if not stat.S_ISREG(status.st_mode):
                known[path] = Fingerprint(sha256().hexdigest(), xxh3_128().hexdigest())
                continue
            fingerprint = self._stats.known(path, status)
            if fingerprint is None:
                unknown.append(path)
            else:
                known[path] = fingerprint
        known.update(self._read_all(unknown))
        return known

    def _read_all(self, paths: list[str]) -> Iterator[tuple[str, Fingerprint]]:
        # Hashing a large file lets go of the interpreter's lock; for a small one a thread costs more than it gives.
        large = [path for path in paths if self._statuses[path].st_size >= _LARGE]
        with ThreadPoolExecutor(2) as pool:
            pending = pool.map(self._read, large)
            for path in paths:
                self.read_size += self._statuses[path].st_size
                if self._statuses[path].st_size < _LARGE:
                    yield path, self._read(path)
            yield from zip(large, pending, strict=True)

    def _read(self, path: str) -> Fingerprint:
        status = self._statuses[path]
        earlier = self._stats.earlier(path, status)
        read_at = time.time_ns()
        fd = self.open(path)
        try:
            opened = os.fstat(fd)
            slow = None if earlier is not None else sha256()
            fast = xxh3_128()
            while chunk := os.read(fd, _CHUNK):
                fast.update(chunk)
                if slow is not None:
                    slow.update(chunk)
            if earlier is not None and earlier.xxh3 == fast.hexdigest():
                found = earlier
            else:
                digest = slow.hexdigest() if slow is not None else _sha256(fd)
                found = Fingerprint(digest, fast.hexdigest())
        finally:
            os.close(fd)
        if (opened.st_ino, opened.st_size, opened.st_ctime_ns) == (
            status.st_ino,
            status.st_size,
            status.st_ctime_ns,
        ):
            self._stats.record(path, status, found, read_at)
        return found

    def why_missing(self, pattern: str) -> str | None:
        """Return what to do about a path that the context does not hold, if that can be told."""
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        if ".." in parts:
            return f"{pattern} leads out of the context {self.root}; only what is inside can be copied"
        path = "/".join(parts)
        rule = self.rules.rule_for(path)
        if rule is not None and self.rules.is_ignored(path) and self._is_there(path):
            place = self.rules.place_of(rule)
            return f"{path} is there, but {place} ({rule.text}) leaves it out; see `minidock context why`"
        return None

    def _is_there(self, path: str) -> bool:
        try:
            self._status(path)
        except OSError:
            return False
        return True

    def refresh(self, path: str) -> None:
        """Look at everything again, after one file has changed while it was copied."""
        self._stats.forget(path)
        for known in (self._entries, self._statuses, self._scanned):
            known.clear()


def _explained(error: OSError, path: str) -> Exception:
    """Return what an error says of a file that was there when it was looked for."""
    if isinstance(error, PermissionError):
        return _unreadable(path)
    return ContentChanged(path) if error.errno in _CHANGED else error


def _unreadable(path: str) -> BuildError:
    return BuildError(f"{path or '.'}: permission denied", hint="make it readable, or ignore it")


def _sha256(fd: int) -> str:
    slow = sha256()
    offset = 0
    while chunk := os.pread(fd, _CHUNK, offset):
        slow.update(chunk)
        offset += len(chunk)
    return slow.hexdigest()
