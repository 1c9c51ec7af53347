"""Packs files into a tar stream and unpacks one, for `cp`: every step by descriptors, no link ever followed by name.

The top of what is packed has the name ``.`` unless another is given. Numbers of owners are
the container's; with a single id they stand in an attribute of the file (see `minidock.store.unpack`).
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Container
from typing import IO, Any

from minidock.errors import InvalidRequest
from minidock.runtime import syscalls

TOP = "."
OWNER_XATTR = "user.minidock.owner"
_XATTR = "SCHILY.xattr."
_CHUNK = 1 << 20
_PRIVATE = ("user.minidock.", "user.overlay.", "trusted.overlay.")


class _Counted(io.RawIOBase):
    """A stream that is only written, and knows how far it is: what a tar file asks of one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._position = 0

    def write(self, data: Any) -> int:
        self._stream.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position


class Packer:
    """Writes files below a descriptor to ``stream``; directories on the devices ``hidden`` are empty in it."""

    def __init__(self, stream: IO[bytes], *, is_single_id: bool = False, hidden: Container[int] = ()) -> None:
        self._tar = tarfile.TarFile(fileobj=_Counted(stream), mode="w", format=tarfile.PAX_FORMAT)
        self._is_single_id = is_single_id
        self._hidden = hidden
        self._links: dict[tuple[int, int], str] = {}

    def pack(self, fd: int, member: str = TOP) -> None:
        """Write what an O_PATH descriptor stands for, and all below it; the top is called ``member``."""
        status = os.fstat(fd)
        info = self._info(fd, member, status)
        if info is None:
            return
        if info.isreg():
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                self._tar.addfile(info, file)
            return
        self._tar.addfile(info)
        if not info.isdir() or status.st_dev in self._hidden:
            return
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        try:
            for item in sorted(os.listdir(directory)):
                self._pack_below(directory, item, member)
        finally:
            os.close(directory)

    def _pack_below(self, directory: int, item: str, member: str) -> None:
        try:
            below = os.open(item, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except FileNotFoundError:
            return  # it went while this was under way
        try:
            self.pack(below, f"{member.rstrip('/')}/{item}")
        finally:
            os.close(below)

    def close(self) -> None:
        """Write the end of the stream."""
        self._tar.close()

    def _info(self, fd: int, member: str, status: os.stat_result) -> tarfile.TarInfo | None:
        kinds: dict[int, bytes] = {
            stat.S_IFREG: tarfile.REGTYPE,
            stat.S_IFDIR: tarfile.DIRTYPE,
            stat.S_IFLNK: tarfile.SYMTYPE,
            stat.S_IFCHR: tarfile.CHRTYPE,
            stat.S_IFBLK: tarfile.BLKTYPE,
            stat.S_IFIFO: tarfile.FIFOTYPE,
        }
        kind = kinds.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None  # a socket is of its process
        info = tarfile.TarInfo(member)
        info.type = kind
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid, info.mtime = status.st_uid, status.st_gid, int(status.st_mtime)
        if kind == tarfile.SYMTYPE:
            info.linkname = os.readlink("", dir_fd=fd)
            return info
        self._attributes(f"/proc/self/fd/{fd}", info)
        if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        elif kind == tarfile.REGTYPE:
            first = self._links.setdefault((status.st_dev, status.st_ino), member)
            if first != member:
                info.type, info.linkname = tarfile.LNKTYPE, first
            else:
                info.size = status.st_size
        return info

    def _attributes(self, path: str, info: tarfile.TarInfo) -> None:
        try:
            names = os.listxattr(path)
        except OSError:
            return  # the file system has none
        headers: dict[str, str] = {}
        for name in sorted(names):
            value = os.getxattr(path, name)
            if name == OWNER_XATTR and self._is_single_id:
                uid, _, gid = value.decode().partition(":")
                info.uid, info.gid = int(uid), int(gid)
            elif not name.startswith(_PRIVATE):
                headers[_XATTR + name] = value.decode("utf-8", "surrogateescape")
        info.pax_headers = headers


class Unpacker:
    """Writes the members of a stream below ``directory``; the member `TOP` and those in it go to ``name`` there.

    ``open_parent`` returns a descriptor of a directory below ``directory`` (``""``: itself), and decides by that which
    links on the way are followed, and where to. ``keeps_owners`` gives files the ids of the stream.
    """

    def __init__(
        self, name: str, open_parent: Callable[[str], int], *, keeps_owners: bool, is_single_id: bool = False
    ) -> None:
        self._name = name
        self._open_parent = open_parent
        self._keeps_owners = keeps_owners
        self._is_single_id = is_single_id
        self._directories: list[tuple[str, tarfile.TarInfo]] = []

    def unpack(self, stream: IO[bytes]) -> int:
        """Write everything; return the bytes of the files' contents. Raises: InvalidRequest, OSError."""
        size = 0
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for info in tar:
                    self._member(tar, info)
                    size += info.size if info.isreg() else 0
        except tarfile.TarError as error:
            raise InvalidRequest(f"invalid tar stream: {error}") from error
        for path, info in reversed(self._directories):
            parent, name = self._parent_of(path)
            fd = os.open(name or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            self._finish(fd, info)
            os.close(fd)
            os.close(parent)
        return size

    def _path(self, member: str) -> str:
        parts = [part for part in member.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise InvalidRequest(f"invalid tar stream: {member} leads out of its directory")
        return "/".join([*([self._name] if self._name else []), *parts])

    def _parent_of(self, path: str) -> tuple[int, str]:
        above, _, name = path.rpartition("/")
        return self._open_parent(above), name

    def _member(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        path = self._path(info.name)
        if not path:
            return  # the target directory, which is there and stays as it is
        parent, name = self._make_parent(path)
        try:
            if info.isdir():
                self._make_directory(parent, name, path, info)
                return
            self._make_room(parent, name, path)
            if info.islnk():
                self._link(parent, name, self._path(info.linkname))
            elif info.issym():
                os.symlink(info.linkname, name, dir_fd=parent)
                self._own(parent, name, info)
                os.utime(name, (info.mtime, info.mtime), dir_fd=parent, follow_symlinks=False)
            elif info.isreg():
                self._file(tar, parent, name, info)
            else:
                self._special(parent, name, info)
        finally:
            os.close(parent)

    def _make_parent(self, path: str) -> tuple[int, str]:
        """Return the directory of ``path``, made if the stream did not name it."""
        above = path.rpartition("/")[0]
        try:
            return self._parent_of(path)
        except FileNotFoundError:
            parent, name = self._make_parent(above)
            os.mkdir(name, 0o755, dir_fd=parent)
            os.close(parent)
            return self._parent_of(path)

    def _make_directory(self, parent: int, name: str, path: str, info: tarfile.TarInfo) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise InvalidRequest(f'cannot overwrite non-directory "/{path}" with directory') from None
        self._directories.append((path, info))

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

    def _file(self, tar: tarfile.TarFile, parent: int, name: str, info: tarfile.TarInfo) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
        content = tar.extractfile(info)
        try:
            while content is not None and (data := content.read(_CHUNK)):
                while data:
                    data = data[os.write(fd, data) :]
            self._finish(fd, info)
        finally:
            os.close(fd)

    def _special(self, parent: int, name: str, info: tarfile.TarInfo) -> None:
        kinds = {tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}
        if info.type not in kinds:
            raise InvalidRequest(f"invalid tar stream: {info.name} is of an unknown type")
        os.mknod(name, kinds[info.type] | info.mode, os.makedev(info.devmajor, info.devminor), dir_fd=parent)
        self._own(parent, name, info)

    def _own(self, parent: int, name: str, info: tarfile.TarInfo) -> None:
        if self._keeps_owners and not self._is_single_id:
            os.chown(name, info.uid, info.gid, dir_fd=parent, follow_symlinks=False)

    def _finish(self, fd: int, info: tarfile.TarInfo) -> None:
        if self._keeps_owners and self._is_single_id:
            os.setxattr(fd, OWNER_XATTR, f"{info.uid}:{info.gid}".encode())
        elif self._keeps_owners:
            os.fchown(fd, info.uid, info.gid)
        for name, value in info.pax_headers.items():
            if name.startswith(_XATTR) and not name.removeprefix(_XATTR).startswith(_PRIVATE):
                try:
                    os.setxattr(fd, name.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
                except OSError:
                    continue  # this user or file system cannot keep it
        os.fchmod(fd, info.mode)
        os.utime(fd, (info.mtime, info.mtime))


def below(directory: int, resolve: int) -> Callable[[str], int]:
    """Return an ``open_parent`` for `Unpacker`; ``resolve`` are the RESOLVE_ bits for the way down."""
    return lambda path: syscalls.openat2(directory, path or ".", os.O_PATH | os.O_DIRECTORY, resolve)
