"""Finds the targets of mounts inside a root file system, makes those that are missing and takes them away afterwards.

A target that did not exist is made in the upper directory, where it would become a part of the layer. So everything
made is recorded, and when the container has ended `remove_unused` removes what is still empty, along with directories
that overlayfs copied up only for that, and gives the parents their times back.

No path is ever followed out of the root: every step is an openat of one name without following links, or openat2 with
RESOLVE_IN_ROOT. Runs in the stub: nothing but os and system calls.
"""

from __future__ import annotations

import errno
import os
import stat

from minidock.runtime import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    Signature = tuple[int, int, int, int, list[tuple[str, bytes]]]
    # What was made: (path, is a directory); directories that were copied up for it: (path, their attributes).
    Records = tuple[list[tuple[str, bool]], list[tuple[str, Signature]]]

MAX_LINKS = 40
FUSE_MARKS = (".wh..wh..opq", ".wh..opq")


class MountPoints:
    """The targets of mounts below ``root``; ``base`` is the directory that receives what is created."""

    def __init__(self, root: int, base: int) -> None:
        self.root = root
        self._base = base
        self.records: Records = ([], [])

    def built_in(self, name: str) -> int:
        """Return a descriptor of the top-level directory ``name``, made if it is missing.

        Raises: NotADirectoryError if the image has a link or a file there (what we mount must not land elsewhere).
        """
        return self._walk([name], is_directory=True)

    def find(self, path: str) -> int:
        """Return a descriptor of ``path``, links followed inside the root. Raises FileNotFoundError and the like."""
        return syscalls.openat2(self.root, path, os.O_PATH, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS)

    def find_or_make(self, path: str, *, is_directory: bool) -> int:
        """Return a descriptor of ``path``, made with its parents if it is missing."""
        try:
            return self.find(path)
        except FileNotFoundError:
            return self._walk(self._resolve(path), is_directory=is_directory)

    def _resolve(self, path: str) -> list[str]:
        """Return the names that lead to ``path`` once every link on the way is replaced by where it points."""
        pending = path.split("/")
        done: list[str] = []
        links = 0
        while pending:
            name = pending.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                del done[-1:]
                continue
            target = self._link_target([*done, name])
            if target is None:
                done.append(name)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                done = []
            pending[:0] = target.split("/")
        return done

    def _link_target(self, names: list[str]) -> str | None:
        flags = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS
        try:
            fd = syscalls.openat2(self.root, "/".join(names), os.O_PATH | os.O_NOFOLLOW, flags)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)

    def _walk(self, names: list[str], *, is_directory: bool) -> int:
        """Return a descriptor of the last name; no name may be a link, missing ones are made."""
        here = os.dup(self.root)
        for index, name in enumerate(names):
            wants_directory = is_directory or index < len(names) - 1
            try:
                below = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=here)
            except FileNotFoundError:
                self._make(here, names[: index + 1], is_directory=wants_directory)
                below = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
            if stat.S_ISDIR(os.fstat(here).st_mode) != wants_directory:
                os.close(here)
                code = errno.ENOTDIR if wants_directory else errno.EISDIR
                raise OSError(code, os.strerror(code), "/" + "/".join(names[: index + 1]))
        return here

    def _make(self, parent: int, names: list[str], *, is_directory: bool) -> None:
        made, copied_up = self.records
        before = os.fstat(parent)
        for depth in range(1, len(names)):
            ancestor = "/".join(names[:depth])
            if not _exists(self._base, ancestor):
                fd = syscalls.openat2(self.root, ancestor, os.O_PATH, syscalls.RESOLVE_BENEATH)
                copied_up.append((ancestor, signature(fd)))
                os.close(fd)
        if is_directory:
            os.mkdir(names[-1], 0o755, dir_fd=parent)
        else:
            os.close(os.open(names[-1], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644, dir_fd=parent))
        made.append(("/".join(names), is_directory))
        os.utime(f"/proc/self/fd/{parent}", ns=(before.st_atime_ns, before.st_mtime_ns))


def signature(fd: int) -> Signature:
    """Return what a user can change about a directory: mode, owner, time, extended attributes."""
    info = os.fstat(fd)
    path = f"/proc/self/fd/{fd}"
    names = [name for name in sorted(os.listxattr(path)) if ".overlay." not in name]
    xattrs = [(name, os.getxattr(path, name)) for name in names]
    return info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, xattrs


def remove_unused(base: int, records: Records) -> None:
    """Remove what `MountPoints` made below ``base`` and what is still as it was made; the container has ended."""
    made, copied_up = records
    for path, is_directory in reversed(made):
        _remove(base, path, is_directory=is_directory, only_if=None)
    for path, before in reversed(copied_up):
        _remove(base, path, is_directory=True, only_if=before)


def _remove(base: int, path: str, *, is_directory: bool, only_if: Signature | None) -> None:
    parent_path, _, name = path.rpartition("/")
    beneath = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
    try:
        parent = syscalls.openat2(base, parent_path or ".", os.O_PATH | os.O_DIRECTORY, beneath)
    except OSError:
        return  # the process removed or replaced it
    before = os.fstat(parent)
    try:
        here = syscalls.openat2(parent, name, os.O_PATH | os.O_NOFOLLOW, beneath)
        info = os.fstat(here)
        is_same = only_if is None or signature(here) == only_if
        os.close(here)
        if is_directory and stat.S_ISDIR(info.st_mode) and is_same:
            _remove_marks(parent, name)
            os.rmdir(name, dir_fd=parent)
        elif not is_directory and stat.S_ISREG(info.st_mode) and info.st_size == 0:
            os.unlink(name, dir_fd=parent)
        else:
            return
        os.utime(f"/proc/self/fd/{parent}", ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError:
        return  # not empty, or gone: it is the process's own now
    finally:
        os.close(parent)


def _remove_marks(parent: int, name: str) -> None:
    """Remove what fuse-overlayfs puts into every new directory, if there is nothing else in it."""
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        names = os.listdir(directory)
        for mark in names if set(names) <= set(FUSE_MARKS) else ():
            os.unlink(mark, dir_fd=directory)
    finally:
        os.close(directory)


def _exists(directory: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True
