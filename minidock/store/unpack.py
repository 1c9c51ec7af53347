"""From entries to files: one layer as overlayfs wants it, or a whole merged tree.

The target is a fresh directory of ours, and no entry stands below anything but a directory (the reader sees to it).
Somebody may exchange a directory for a link meanwhile all the same: each is opened step by step, no link is followed,
and what is made in it is made in the open one. Every file's bytes are compared with its fingerprint while they are
copied.

In single-id mode every file belongs to the user. What the layer says of owners and devices is kept in private
attributes, which overlayfs copies up with the file; links have none, their owner comes from the entry index again.
With a range of ids owners are real, and only devices, which no user namespace lets anybody make, are kept that way.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager

from xxhash import xxh3_128

from minidock.core.entries import (
    BLOCK,
    CHAR,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    OPAQUE,
    SYMLINK,
    WHITEOUT,
    Entry,
    name_of,
    parent_of,
)
from minidock.core.id_mode import IdMode
from minidock.errors import BlobCorrupt, StoreError, TarError
from minidock.store.content import stretch_of
from minidock.store.threads import for_each
from minidock.store.writer import Disk

OWNER_XATTR = "user.minidock.owner"  # "uid:gid"
DEVICE_XATTR = "user.minidock.device"  # "char:major:minor" on an empty file
_MANY = 500  # entries for which threads are worth their start
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_S_IFCHR, _S_IFBLK, _S_IFIFO = 0o020000, 0o060000, 0o010000


def private_attributes(entry: Entry, id_mode: IdMode) -> dict[str, bytes]:
    """Return the attributes that tell the owner of an unpacked file where the disk does not."""
    if id_mode.has_real_owners or not (entry.uid or entry.gid) or entry.kind not in (FILE, DIRECTORY, CHAR, BLOCK):
        return {}
    return {OWNER_XATTR: f"{entry.uid}:{entry.gid}".encode()}


def _check_parents(entries: Iterable[Entry], directories: Container[str]) -> None:
    """Make sure that no name has anything but a directory above it. Raises: TarError."""
    for entry in entries:
        names = (entry.path, entry.linkname) if entry.kind == HARDLINK else (entry.path,)
        for name in names:
            if parent_of(name) not in directories:
                raise TarError(f"{name}: its parent is not a directory")


def _by_directory(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(parent_of(entry.path), []).append(entry)
    return groups


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class Unpacker:
    """Writes entries below ``target``, which exists; contents come from ``blob``, an open uncompressed tar.

    Raises: StoreError if a directory is none any more when something is to be made in it.
    """

    def __init__(self, disk: Disk, target: str, id_mode: IdMode, check: Callable[[], None] | None = None) -> None:
        """``check`` is called before each folder of a layer; what it raises ends the work."""
        self._disk = disk
        self._check = check
        self._target = target
        self._top = _identity(os.stat(target))
        self._id_mode = id_mode
        self._is_single = id_mode is IdMode.SINGLE
        self._opaque = "user.overlay.opaque" if id_mode.is_user_namespace else "trusted.overlay.opaque"

    def layer(self, entries: Iterable[Entry], blob: int) -> None:
        """Write one layer: deletions become what overlayfs knows as such."""
        ordered = sorted(entries, key=lambda entry: (entry.path, entry.kind == OPAQUE))
        directories = [entry for entry in ordered if entry.kind == DIRECTORY]
        _check_parents(ordered, {"", *(entry.path for entry in directories)})
        for path, group in _by_directory(entry for entry in directories if entry.path).items():
            with self._inside(path) as place:
                for entry in group:
                    self._disk.mkdir(f"{place}/{name_of(entry.path)}")
        self._make_all(ordered, blob)
        for entry in ordered:
            if entry.kind == HARDLINK:
                self.link(entry)
        self.finish(directories)

    def _make_all(self, entries: Sequence[Entry], blob: int) -> None:
        """Write all but directories and hard links: of many, each directory's at a time, in several threads."""

        def make(group: tuple[str, Sequence[Entry]]) -> None:
            if self._check is not None:
                self._check()
            with self._inside(group[0]) as place:
                for entry in group[1]:
                    self._make(entry, f"{place}/{name_of(entry.path)}", blob)

        groups = _by_directory(entry for entry in entries if entry.kind not in (DIRECTORY, HARDLINK))
        if len(entries) < _MANY:
            for group in groups.items():
                make(group)
        else:
            for_each(make, groups.items())

    def finish(self, directories: Iterable[Entry]) -> None:
        """Set the attributes of directories, deepest first: last, since writing into one changes its times."""
        for entry in sorted(directories, key=lambda entry: entry.path, reverse=True):
            with self._inside(entry.path) as place:
                self._attributes(entry, f"{place}/.")

    def make(self, entry: Entry, blob: int) -> None:
        """Write one entry of a merged tree; hard links and directories' attributes are the caller's."""
        if not entry.path:
            return
        with self._inside(parent_of(entry.path)) as place:
            path = f"{place}/{name_of(entry.path)}"
            if entry.kind == DIRECTORY:
                self._disk.mkdir(path)
            else:
                self._make(entry, path, blob)

    def link(self, entry: Entry) -> None:
        """Make ``entry`` one more name of ``entry.linkname``."""
        with self._inside(parent_of(entry.linkname)) as first, self._inside(parent_of(entry.path)) as place:
            self._disk.link(f"{first}/{name_of(entry.linkname)}", f"{place}/{name_of(entry.path)}")

    @contextmanager
    def _inside(self, directory: str) -> Iterator[str]:
        """Give a path to a directory that stays the same, whatever its name leads to meanwhile."""
        fd = self._open(directory)
        place = f"/proc/self/fd/{fd}"
        try:
            yield place
        except OSError as error:
            shown = f"{self._target}/{directory}" if directory else self._target
            if isinstance(error.filename, str) and error.filename.startswith(place):
                error.filename = shown + error.filename.removeprefix(place)
            raise
        finally:
            os.close(fd)

    def _open(self, directory: str) -> int:
        fd = os.open(self._target, _STEP)
        try:
            if _identity(os.fstat(fd)) != self._top:
                raise StoreError(f"{self._target} was replaced while files were written to it")
            for part in directory.split("/") if directory else ():
                outer, fd = fd, os.open(part, _STEP, dir_fd=fd)
                os.close(outer)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
                raise StoreError(f"{self._target}/{directory} was replaced while files were written to it") from error
            raise
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _make(self, entry: Entry, path: str, blob: int) -> None:
        if entry.kind == FILE:
            self._file(entry, path, blob)
        elif entry.kind == SYMLINK:
            self._disk.symlink(entry.linkname, path)
            if not self._is_single and (entry.uid or entry.gid):
                self._disk.chown(path, entry.uid, entry.gid)
            self._disk.utime(path, entry.mtime)
        elif entry.kind == WHITEOUT:
            self._whiteout(path)
        elif entry.kind == OPAQUE:
            with self._inside(entry.path) as directory:
                self._disk.setxattr(f"{directory}/.", self._opaque, b"y")
        elif entry.kind in (CHAR, BLOCK, FIFO):
            self._special(entry, path)

    def _whiteout(self, path: str) -> None:
        try:
            self._disk.mknod(path, _S_IFCHR, 0)
        except PermissionError:
            # A store on an overlay (in a container): overlayfs cannot stack there, and fuse-overlayfs knows this mark.
            directory, _, name = path.rpartition("/")
            os.close(self._disk.open_new(f"{directory}/.wh.{name}"))

    def _special(self, entry: Entry, path: str) -> None:
        if entry.kind == FIFO:
            self._disk.mknod(path, _S_IFIFO | 0o600)
        elif self._is_single:
            os.close(self._disk.open_new(path))
            self._disk.setxattr(path, DEVICE_XATTR, f"{entry.kind}:{entry.major}:{entry.minor}".encode())
        else:
            self._device(entry, path)
        self._attributes(entry, path)

    def _device(self, entry: Entry, path: str) -> None:
        kind = _S_IFCHR if entry.kind == CHAR else _S_IFBLK
        try:
            self._disk.mknod(path, kind | 0o600, os.makedev(entry.major, entry.minor))
        except PermissionError:
            # A user namespace, or root without CAP_MKNOD (a CI container): a placeholder, as in single-id mode.
            os.close(self._disk.open_new(path))
            self._disk.setxattr(path, DEVICE_XATTR, f"{entry.kind}:{entry.major}:{entry.minor}".encode())

    def _file(self, entry: Entry, path: str, blob: int) -> None:
        fd = self._disk.open_new(path)
        try:
            fast = xxh3_128()
            for chunk, is_hole in stretch_of(blob, entry).chunks():
                fast.update(chunk)
                if is_hole:
                    os.lseek(fd, len(chunk), os.SEEK_CUR)
                else:
                    self._disk.write(fd, chunk)
            if entry.parts:
                self._disk.truncate(fd, entry.size)
            if fast.hexdigest() != entry.xxh3:
                raise BlobCorrupt(f"of /{entry.path}", f"xxh3:{fast.hexdigest()}")
            self._attributes(entry, fd)
        finally:
            os.close(fd)

    def _attributes(self, entry: Entry, path: str | int) -> None:
        for name, private in private_attributes(entry, self._id_mode).items():
            self._disk.setxattr(path, name, private)
        if not self._is_single and (entry.uid or entry.gid):
            self._disk.chown(path, entry.uid, entry.gid)
        for name, value in entry.xattrs:
            self._xattr(path, name, value.encode("latin-1"))
        self._disk.utime(path, entry.mtime)
        self._chmod(path, entry.mode)  # last: it may close a directory to its owner

    def _chmod(self, path: str | int, mode: int) -> None:
        if isinstance(path, int):
            self._disk.chmod(path, mode)
            return
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):  # it is not what was made
                self._disk.chmod(f"/proc/self/fd/{fd}", mode)
        finally:
            os.close(fd)

    def _xattr(self, path: str | int, name: str, value: bytes) -> None:
        try:
            self._disk.setxattr(path, name, value)
        except OSError as error:
            # What the file system or the user may not set stays in the layer, which is the truth; only this
            # unpacked copy goes without (file capabilities outside a user namespace, for one).
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL, errno.ERANGE, errno.E2BIG):
                raise
