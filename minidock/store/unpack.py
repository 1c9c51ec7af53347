"""From entries to files: one layer as overlayfs wants it, or a whole merged tree.

The target is a fresh directory of ours, and no entry stands below anything but a directory (the reader sees to it),
so no name leads outside. Every file's bytes are compared with its fingerprint while they are copied.

In single-id mode every file belongs to the user. What the layer says of owners and devices is kept in private
attributes, which overlayfs copies up with the file; links have none, their owner comes from the entry index again.
With a range of ids owners are real, and only devices, which no user namespace lets anybody make, are kept that way.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Container, Iterable, Sequence

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
    parent_of,
)
from minidock.core.id_mode import IdMode
from minidock.errors import BlobCorrupt, TarError
from minidock.store.content import stretch_of
from minidock.store.threads import for_each
from minidock.store.writer import Disk

OWNER_XATTR = "user.minidock.owner"  # "uid:gid"
DEVICE_XATTR = "user.minidock.device"  # "char:major:minor" on an empty file
_MANY = 500  # entries for which threads are worth their start
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


class Unpacker:
    """Writes entries below ``target``, which exists; contents come from ``blob``, an open uncompressed tar."""

    def __init__(self, disk: Disk, target: str, id_mode: IdMode, check: Callable[[], None] | None = None) -> None:
        """``check`` is called before each folder of a layer with many files; what it raises ends the work."""
        self._disk = disk
        self._check = check
        self._target = target
        self._id_mode = id_mode
        self._is_single = id_mode is IdMode.SINGLE
        self._opaque = "user.overlay.opaque" if id_mode.is_user_namespace else "trusted.overlay.opaque"

    def layer(self, entries: Iterable[Entry], blob: int) -> None:
        """Write one layer: deletions become what overlayfs knows as such."""
        ordered = sorted(entries, key=lambda entry: (entry.path, entry.kind == OPAQUE))
        directories = [entry for entry in ordered if entry.kind == DIRECTORY]
        _check_parents(ordered, {"", *(entry.path for entry in directories)})
        for entry in directories:
            if entry.path:
                self._disk.mkdir(self._path(entry.path))
        self._make_all(ordered, blob)
        for entry in ordered:
            if entry.kind == HARDLINK:
                self._disk.link(self._path(entry.linkname), self._path(entry.path))
        self.finish(directories)

    def _make_all(self, entries: Sequence[Entry], blob: int) -> None:
        """Write all but directories and hard links: of many, each directory's at a time, in several threads."""
        if len(entries) < _MANY:
            for entry in entries:
                self._make(entry, blob)
            return

        def make(group: Sequence[Entry]) -> None:
            if self._check is not None:
                self._check()
            for entry in group:
                self._make(entry, blob)

        groups: dict[str, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(parent_of(entry.path), []).append(entry)
        for_each(make, groups.values())

    def finish(self, directories: Iterable[Entry]) -> None:
        """Set the attributes of directories, deepest first: last, since writing into one changes its times."""
        for entry in sorted(directories, key=lambda entry: entry.path, reverse=True):
            self._attributes(entry, self._path(entry.path))

    def make(self, entry: Entry, blob: int) -> None:
        """Write one entry of a merged tree; hard links and directories' attributes are the caller's."""
        if entry.kind == DIRECTORY:
            if entry.path:
                self._disk.mkdir(self._path(entry.path))
        else:
            self._make(entry, blob)

    def link(self, entry: Entry) -> None:
        """Make ``entry`` one more name of ``entry.linkname``."""
        self._disk.link(self._path(entry.linkname), self._path(entry.path))

    def _path(self, path: str) -> str:
        return f"{self._target}/{path}" if path else self._target

    def _make(self, entry: Entry, blob: int) -> None:
        path = self._path(entry.path)
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
            self._disk.setxattr(path, self._opaque, b"y")
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
        self._disk.chmod(path, entry.mode)
        self._disk.utime(path, entry.mtime)

    def _xattr(self, path: str | int, name: str, value: bytes) -> None:
        try:
            self._disk.setxattr(path, name, value)
        except OSError as error:
            # What the file system or the user may not set stays in the layer, which is the truth; only this
            # unpacked copy goes without (file capabilities outside a user namespace, for one).
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL, errno.ERANGE, errno.E2BIG):
                raise
