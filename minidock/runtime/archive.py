"""Packs files into a stream of entries and unpacks one, for `cp`: by descriptors, no link ever followed by name.

The stream is a row of frames, a length and a marshalled `Entry`, each followed by the content of a regular file;
None ends it. The top of what is packed has the path ``""``. Numbers of owners are the container's; with a single id
they stand in an attribute of the file.
"""

from __future__ import annotations

import marshal
import os
import stat
from collections.abc import Callable, Container
from typing import IO

from minidock.core.entries import (
    BLOCK,
    CHAR,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
    join,
    parent_of,
)
from minidock.errors import InvalidRequest
from minidock.runtime import syscalls

OWNER_XATTR = "user.minidock.owner"
_CHUNK = 1 << 20
_LARGEST_FRAME = 1 << 24
_PRIVATE = ("user.minidock.", "user.overlay.", "user.fuseoverlayfs.", "trusted.overlay.")
_STRANGER = 65534  # what the kernel shows of ids that a user namespace does not know
_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHAR,
    stat.S_IFBLK: BLOCK,
    stat.S_IFIFO: FIFO,
}


def write_entry(stream: IO[bytes], entry: Entry | None) -> None:
    """Write one frame; the content of a file is the caller's next write."""
    data = marshal.dumps(None if entry is None else tuple(entry))
    stream.write(len(data).to_bytes(4, "little") + data)


def read_entry(stream: IO[bytes]) -> Entry | None:
    """Return the next entry, None at the end. Raises: InvalidRequest if the stream was cut off."""
    size = int.from_bytes(_exactly(stream, 4), "little")
    if size > _LARGEST_FRAME:
        raise InvalidRequest("the stream of files is damaged")
    values = marshal.loads(_exactly(stream, size))
    return None if values is None else Entry(*values)


def copy_content(source: IO[bytes], write: Callable[[bytes], object], size: int) -> None:
    """Pass on the content of a file. Raises: InvalidRequest if there is less of it."""
    while size:
        data = _exactly(source, min(size, _CHUNK))
        write(data)
        size -= len(data)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise InvalidRequest("a file or the stream became shorter while it was copied")
    return data


class Packer:
    """Writes files below a descriptor to ``stream``; directories on the devices ``hidden`` are empty in it.

    With ``hides_strangers`` the files of users whom this user namespace does not know are root's.
    """

    def __init__(
        self,
        stream: IO[bytes],
        *,
        is_single_id: bool = False,
        hidden: Container[int] = (),
        hides_strangers: bool = False,
    ) -> None:
        self._stream = stream
        self._stranger = _STRANGER if hides_strangers else -1
        self._is_single_id = is_single_id
        self._hidden = hidden
        self._links: dict[tuple[int, int], str] = {}

    def pack(self, fd: int, path: str = "") -> None:
        """Write what an O_PATH descriptor stands for, and all below it."""
        status = os.fstat(fd)
        entry = self._entry(fd, path, status)
        if entry is None:
            return
        if entry.kind == FILE:
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                write_entry(self._stream, entry)
                copy_content(file, self._stream.write, entry.size)
            return
        write_entry(self._stream, entry)
        if entry.kind != DIRECTORY or status.st_dev in self._hidden:
            return
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        try:
            for name in sorted(os.listdir(directory)):
                self._pack_below(directory, name, join(path, name))
        finally:
            os.close(directory)

    def _pack_below(self, directory: int, name: str, path: str) -> None:
        try:
            below = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except FileNotFoundError:
            return  # it went while this was under way
        try:
            self.pack(below, path)
        finally:
            os.close(below)

    def close(self) -> None:
        """Write the end of the stream."""
        write_entry(self._stream, None)

    def _entry(self, fd: int, path: str, status: os.stat_result) -> Entry | None:
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None  # a socket is of its process
        uid, gid = (0 if number == self._stranger else number for number in (status.st_uid, status.st_gid))
        mtime = int(status.st_mtime)
        entry = Entry(path, kind, stat.S_IMODE(status.st_mode), uid, gid, mtime=mtime)
        if kind == SYMLINK:
            return entry._replace(linkname=os.readlink("", dir_fd=fd))
        if kind in (CHAR, BLOCK):
            entry = entry._replace(major=os.major(status.st_rdev), minor=os.minor(status.st_rdev))
        if kind == FILE:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                return entry._replace(kind=HARDLINK, linkname=first)
            entry = entry._replace(size=status.st_size)
        return self._with_attributes(entry, f"/proc/self/fd/{fd}")

    def _with_attributes(self, entry: Entry, path: str) -> Entry:
        try:
            names = os.listxattr(path)
        except OSError:
            return entry  # the file system has none
        kept = []
        for name in sorted(names):
            value = os.getxattr(path, name)
            if name == OWNER_XATTR and self._is_single_id:
                uid, _, gid = value.decode().partition(":")
                entry = entry._replace(uid=int(uid), gid=int(gid))
            elif not name.startswith(_PRIVATE):
                kept.append((name, value.decode("latin-1")))
        return entry._replace(xattrs=tuple(kept))


class Unpacker:
    """Writes the entries of a stream: the top, and what lies in it, to ``name``, or into the directory itself.

    ``open_parent`` returns a descriptor of a directory below that directory (``""``: itself), and decides by that which
    links on the way are followed, and where to. ``keeps_owners`` gives files the ids of the stream.
    """

    def __init__(
        self, name: str, open_parent: Callable[[str], int], *, keeps_owners: bool, is_single_id: bool = False
    ) -> None:
        self._name = name
        self._open_parent = open_parent
        self._keeps_owners = keeps_owners
        self._is_single_id = is_single_id
        self._directories: list[Entry] = []

    def unpack(self, stream: IO[bytes]) -> int:
        """Write everything; return the bytes of the files' contents. Raises: InvalidRequest, OSError."""
        size = 0
        while (entry := read_entry(stream)) is not None:
            self._make(stream, entry._replace(path=self._path(entry.path)))
            size += entry.size
        for entry in reversed(self._directories):
            parent, name = self._parent_of(entry.path)
            fd = os.open(name or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            self._finish(fd, entry)
            os.close(fd)
            os.close(parent)
        return size

    def _path(self, path: str) -> str:
        if ".." in path.split("/"):
            raise InvalidRequest(f"{path} leads out of its directory")
        return join(self._name, path) if path and self._name else path or self._name

    def _parent_of(self, path: str) -> tuple[int, str]:
        above, _, name = path.rpartition("/")
        return self._open_parent(above), name

    def _make(self, stream: IO[bytes], entry: Entry) -> None:
        if not entry.path:
            return  # the target directory, which is there and stays as it is
        parent, name = self._make_parent(entry.path)
        try:
            if entry.kind == DIRECTORY:
                self._make_directory(parent, name, entry)
                return
            self._make_room(parent, name, entry.path)
            if entry.kind == FILE:
                self._file(stream, parent, name, entry)
            elif entry.kind == HARDLINK:
                self._link(parent, name, self._path(entry.linkname))
            elif entry.kind == SYMLINK:
                os.symlink(entry.linkname, name, dir_fd=parent)
                self._own(parent, name, entry)
                os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
            else:
                self._special(parent, name, entry)
        finally:
            os.close(parent)

    def _make_parent(self, path: str) -> tuple[int, str]:
        """Return the directory of ``path``, made if the stream did not name it."""
        try:
            return self._parent_of(path)
        except FileNotFoundError:
            parent, name = self._make_parent(parent_of(path))
            os.mkdir(name, 0o755, dir_fd=parent)
            os.close(parent)
            return self._parent_of(path)

    def _make_directory(self, parent: int, name: str, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise InvalidRequest(f'cannot overwrite non-directory "/{entry.path}" with directory') from None
        self._directories.append(entry)

    def _make_room(self, parent: int, name: str, path: str) -> None:
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode):
            raise InvalidRequest(f'cannot overwrite directory "/{path}" with non-directory')
        os.unlink(name, dir_fd=parent)

    def _link(self, parent: int, name: str, target: str) -> None:
        other, other_name = self._parent_of(target)
        try:
            os.link(other_name, name, src_dir_fd=other, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(other)

    def _file(self, stream: IO[bytes], parent: int, name: str, entry: Entry) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
        with os.fdopen(fd, "wb") as file:
            copy_content(stream, file.write, entry.size)
            file.flush()
            self._finish(fd, entry)

    def _special(self, parent: int, name: str, entry: Entry) -> None:
        kind = {FIFO: stat.S_IFIFO, CHAR: stat.S_IFCHR, BLOCK: stat.S_IFBLK}[entry.kind]
        os.mknod(name, kind | entry.mode, os.makedev(entry.major, entry.minor), dir_fd=parent)
        self._own(parent, name, entry)

    def _own(self, parent: int, name: str, entry: Entry) -> None:
        if self._keeps_owners and not self._is_single_id:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)

    def _finish(self, fd: int, entry: Entry) -> None:
        if self._keeps_owners and self._is_single_id:
            os.setxattr(fd, OWNER_XATTR, f"{entry.uid}:{entry.gid}".encode())
        elif self._keeps_owners:
            os.fchown(fd, entry.uid, entry.gid)
        for name, value in entry.xattrs:
            if not name.startswith(_PRIVATE):
                try:
                    os.setxattr(fd, name, value.encode("latin-1"))
                except OSError:
                    continue  # this user or file system cannot keep it
        os.fchmod(fd, entry.mode)
        os.utime(fd, (entry.mtime, entry.mtime))


def below(directory: int, resolve: int) -> Callable[[str], int]:
    """Return an ``open_parent`` for `Unpacker`; ``resolve`` are the RESOLVE_ bits for the way down."""
    return lambda path: syscalls.openat2(directory, path or ".", os.O_PATH | os.O_DIRECTORY, resolve)
