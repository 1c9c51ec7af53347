"""Collects paths of this machine as the entries of a layer, symbolic links kept as links.

A path is walked component by component, as the kernel does: each link on the way becomes an entry where it stands and
the walk goes on at its target. So ``/bin/sh`` gives ``bin -> usr/bin``, ``usr/bin/sh -> dash`` and ``usr/bin/dash``.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import field
from typing import Literal

from minidock.core.dataclass import dataclass
from minidock.errors import HostFileError

Kind = Literal["dir", "file", "symlink"]

_MAX_LINKS = 40  # as Linux
# What stands there belongs to the running kernel; the directory itself is kept.
_KERNEL_DIRECTORIES = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One path of the layer, owned by 0:0; ``path`` is relative, without a slash in front, surrogateescape.

    A file has either ``source``, the absolute path on this machine whose content it gets, or ``content``.
    ``mode`` holds permissions only: setuid and setgid bits are not taken over, since a packed ``su`` would run as
    the image's root for whoever unpacks the image.
    """

    path: str
    kind: Kind
    mode: int
    mtime: int
    linkname: str = ""
    source: str | None = None
    content: bytes | None = None


@dataclass(slots=True)
class HostTree:
    """Entries by path, each with all its parent directories; ``mtime`` is the time of every one."""

    mtime: int
    _entries: dict[str, HostEntry] = field(default_factory=dict)
    _folders: set[str] = field(default_factory=set)

    def entries(self) -> tuple[HostEntry, ...]:
        """Return what was collected, sorted by path, so that parents come before children."""
        return tuple(self._entries[path] for path in sorted(self._entries))

    def add(self, path: str) -> str:
        """Add what the absolute ``path`` names, with the links on the way; return its path free of links.

        A directory is added empty, with mode 0755 unless it was added with its own.
        Raises: HostFileError if it is missing, unreadable, a loop of links or not a file, directory or link.
        """
        reached, rest, links = "", _components(path), 0
        while rest:
            name = rest.pop(0)
            if name == "..":
                reached = os.path.dirname(reached)
                continue
            here = f"{reached}/{name}"
            status = _lstat(here, asked=path)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _MAX_LINKS:
                    raise HostFileError(path, os.strerror(errno.ELOOP).lower())
                target = self.add_link(here)
                reached = "" if target.startswith("/") else reached
                rest = _components(target) + rest
                continue
            if stat.S_ISDIR(status.st_mode):
                self._add_parent(here)
            elif rest:
                raise HostFileError(path, os.strerror(errno.ENOTDIR).lower())
            else:
                self._add_file(here, status)
            reached = here
        return reached or "/"

    def add_folder(self, folder: str) -> Iterator[str]:
        """Add all that is below ``folder``, a path free of links; yield the path of each regular file.

        Links inside are kept; what they point to comes along if it is a file. Directories keep their own mode.
        Sockets, pipes and devices are skipped, and so are ``__pycache__`` (Python makes it again) and the
        file systems of the kernel.
        """
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            self._add_parent(here)
            if _is_kernels(here):
                continue
            if here != "/":
                self._put(here, "dir", stat.S_IMODE(_lstat(here, asked=here).st_mode) & 0o1777)
                self._folders.add(here[1:])
            for member in _members(here):
                path = os.path.join(here, member)
                status = _lstat(path, asked=path)
                if stat.S_ISDIR(status.st_mode) and member != "__pycache__":
                    waiting.append(path)
                elif stat.S_ISREG(status.st_mode):
                    self._add_file(path, status)
                    yield path
                elif stat.S_ISLNK(status.st_mode):
                    yield from self._add_member_link(path)

    def _add_member_link(self, path: str) -> Iterator[str]:
        self.add_link(path)
        target = os.path.realpath(path)
        if os.path.isfile(target) and not _is_kernels(target):
            yield self.add(path)

    def add_link(self, path: str) -> str:
        """Add the symbolic link at ``path``, whose parents are there, and return its target."""
        try:
            target = os.readlink(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        self._put(path, "symlink", 0o777, linkname=target)
        return target

    def make(self, path: str, mode: int, content: bytes | None = None) -> None:
        """Add a made file, or a directory if there is no ``content``; what was added from this machine stays.

        A directory that is there only as a parent gets ``mode``. Nothing is made below a link or a file: there the
        image has what this machine has. Call it after everything else.
        """
        parent, _, _ = path.rpartition("/")
        while parent:
            if parent in self._entries and self._entries[parent].kind != "dir":
                return
            self._add_parent(f"/{parent}")
            parent, _, _ = parent.rpartition("/")
        kind: Kind = "dir" if content is None else "file"
        existing = self._entries.get(path)
        if existing is None or (kind == existing.kind == "dir" and path not in self._folders):
            self._entries[path] = HostEntry(path, kind, mode, self.mtime, content=content)

    def _add_parent(self, path: str) -> None:
        if path != "/" and path[1:] not in self._entries:
            self._put(path, "dir", 0o755)

    def _add_file(self, path: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise HostFileError(path, "not a file, directory or link")
        if not os.access(path, os.R_OK):
            raise HostFileError(path, os.strerror(errno.EACCES).lower())
        self._put(path, "file", stat.S_IMODE(status.st_mode) & 0o777, source=path)

    def _put(self, path: str, kind: Kind, mode: int, linkname: str = "", source: str | None = None) -> None:
        self._entries[path[1:]] = HostEntry(path[1:], kind, mode, self.mtime, linkname, source)


def _is_kernels(path: str) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in _KERNEL_DIRECTORIES)


def _members(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(path: str, error: OSError) -> HostFileError:
    return HostFileError(path, (error.strerror or "cannot be read").lower())


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _lstat(path: str, *, asked: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as error:
        raise _unreadable(asked, error) from error
