"""Every change under the store's root goes through `Disk`, and through nothing else.

One narrow place has three uses: the write protocol stands in one file; `faults.FaultyDisk` puts a crash, a full
disk or a short write at any single operation of any command; and a reader cannot write by accident.

The protocol: write under ``tmp/SESSION``, sync, publish by link or rename, sync the directory. Blobs before the
records that name them, names last; removal in the opposite order, by a rename into ``trash/``.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from minidock.errors import StorageFull, StoreUnwritable

_UNIT = 512  # of st_blocks
_DEEP = 400  # characters below the top


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn the system's errors about space and permission below ``path`` into errors for users that name it.

    Those that name another file are not about the store, and pass.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and not os.fsdecode(error.filename).startswith(path):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(path) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = os.strerror(error.errno)
            raise StoreUnwritable(f"cannot write {error.filename or path}: {reason}") from error
        raise


class Disk:
    """The system calls that change something, one method each; paths are absolute."""

    def open_new(self, path: str, mode: int = 0o600) -> int:
        """Create a file that must not exist, for writing and reading; the caller closes the descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of ``data`` (a short write goes on where it stopped)."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def copy_range(self, source: int, target: int, size: int, offset: int) -> None:
        """Append ``size`` bytes at ``offset`` of ``source`` to ``target``; the kernel copies where it can."""
        left = size
        while left:
            try:
                done = os.copy_file_range(source, target, left, offset)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                done = os.sendfile(target, source, offset, left)
            if not done:
                raise OSError(errno.EIO, "file ends early")
            left -= done
            offset += done

    def allocate(self, fd: int, offset: int, size: int) -> None:
        """Have blocks ready for ``size`` bytes at ``offset`` of a file, whose length stays what it is."""
        import ctypes  # few need it, and the monitor of a container must stay small

        libc = ctypes.CDLL(None, use_errno=True)
        fallocate = getattr(libc, "fallocate64", None) or libc.fallocate  # musl knows it by the plain name only
        keeps_size = ctypes.c_int(1)
        if fallocate(ctypes.c_int(fd), keeps_size, ctypes.c_int64(offset), ctypes.c_int64(size)):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def sync(self, fd: int) -> None:
        """Make the content of a file durable. A failure means that the file is lost; it is never tried again."""
        os.fdatasync(fd)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def link(self, source: str, target: str) -> None:
        """Give a file one more name; fails if that name is taken."""
        os.link(source, target, follow_symlinks=False)

    def rename(self, source: str, target: str) -> None:
        """Move a file or directory, replacing a file."""
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        """Remove a name that is not a directory."""
        os.unlink(path)

    def mkdir(self, path: str, mode: int = 0o700) -> None:
        """Create a directory."""
        os.mkdir(path, mode)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    def symlink(self, target: str, path: str) -> None:
        """Create a symbolic link at ``path``."""
        os.symlink(target, path)

    def mknod(self, path: str, mode: int, device: int = 0) -> None:
        """Create a device, fifo or overlay whiteout."""
        os.mknod(path, mode, device)

    def chmod(self, path: str | int, mode: int) -> None:
        """Set the permission bits of something that is not a link."""
        os.chmod(path, mode)

    def chown(self, path: str | int, uid: int, gid: int) -> None:
        """Set the owner of an open file, or of a path: of a link itself if it is one."""
        if isinstance(path, int):
            os.chown(path, uid, gid)
        else:
            os.chown(path, uid, gid, follow_symlinks=False)

    def utime(self, path: str | int, seconds: int) -> None:
        """Set both times to whole seconds, of an open file or a path (of a link itself if it is one)."""
        times = (seconds * 1_000_000_000, seconds * 1_000_000_000)
        if isinstance(path, int):
            os.utime(path, ns=times)
        else:
            os.utime(path, ns=times, follow_symlinks=False)

    def setxattr(self, path: str | int, name: str, value: bytes) -> None:
        """Set an extended attribute of an open file or a path (of a link itself if it is one)."""
        if isinstance(path, int):
            os.setxattr(path, name, value)
        else:
            os.setxattr(path, name, value, follow_symlinks=False)

    def removexattr(self, path: str, name: str) -> None:
        """Remove an extended attribute."""
        os.removexattr(path, name, follow_symlinks=False)

    def truncate(self, path: str | int, size: int) -> None:
        """Give a file, open or named, another size: cut it, or let it end in a hole."""
        os.truncate(path, size)


OPERATIONS = (
    "open_new",
    "write",
    "copy_range",
    "allocate",
    "sync",
    "sync_directory",
    "link",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "symlink",
    "mknod",
    "chmod",
    "chown",
    "utime",
    "setxattr",
    "removexattr",
    "truncate",
)


def write_new(disk: Disk, path: str, data: bytes, mode: int = 0o600) -> None:
    """Create ``path`` with ``data`` and make the content durable; the name is not yet."""
    fd = disk.open_new(path, mode)
    try:
        disk.write(fd, data)
        disk.sync(fd)
    finally:
        os.close(fd)


def remove_tree(disk: Disk, path: str) -> int:
    """Remove a file or a whole directory, whatever modes its folders have; return the bytes that came back.

    A file that has other names elsewhere gives none back. Missing is fine: somebody else was first.
    """
    pending = [path]
    freed = 0

    def bring_up(deep: str) -> None:
        # Processes can nest folders deeper than any path can say: go on with this one beside the top.
        pending.append(f"{path}.{os.urandom(4).hex()}")
        disk.rename(deep, pending[-1])

    while pending:
        top = pending.pop()
        freed += _remove(disk, top, len(top) + _DEEP, bring_up)
    return freed


def _remove(disk: Disk, path: str, longest: int, bring_up: Callable[[str], None]) -> int:
    try:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode):
            disk.unlink(path)
            return status.st_blocks * _UNIT if status.st_nlink == 1 else 0
        if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            disk.chmod(path, stat.S_IRWXU)
        if len(path) > longest:
            bring_up(path)
            return 0
        freed = sum(_remove(disk, f"{path}/{name}", longest, bring_up) for name in os.listdir(path))
        disk.rmdir(path)
    except FileNotFoundError:
        return 0
    return freed + status.st_blocks * _UNIT
