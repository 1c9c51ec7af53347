"""The root file system of an image as files in a directory of the caller, or as one tar.

In the directory everything belongs to the caller, and what was there stays unless it is in the way. Every directory is
looked at before something is written into it, so that no link leads elsewhere. Source: BuildKit, exporter/local.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence

from xxhash import xxh3_128

from minidock.core.digest import Digest
from minidock.core.entries import BLOCK, CHAR, DIRECTORY, FIFO, FILE, HARDLINK, SYMLINK, Entry, parent_of
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt
from minidock.store.contents import Contents
from minidock.store.tar import END, header, padding


class TreeExport:
    """The merged tree of a stack of layers; with ``epoch`` every file has that time."""

    def __init__(self, ws: Workspace, diff_ids: Sequence[Digest], epoch: int | None = None) -> None:
        self._ws = ws
        self._diff_ids = diff_ids
        self._epoch = epoch

    def to_tar(self, write: Callable[[bytes], object]) -> None:
        """Write a tar with owners and attributes. Raises: BlobCorrupt."""
        self.members_to_tar(write)
        write(END)

    def members_to_tar(self, write: Callable[[bytes], object], below: str = "") -> None:
        """Write the members of a tar and not its end, in the directory ``below``. Raises: BlobCorrupt."""
        if below:
            write(header(Entry(below, DIRECTORY, 0o755, mtime=self._epoch or 0)))
        with self._contents() as contents:
            for entry in self._entries():
                if not entry.path:
                    continue  # whoever unpacks has a directory to unpack into
                write(header(_moved(entry, below) if below else entry))
                if entry.kind == FILE:
                    for chunk, _ in content_of(contents, entry):
                        write(chunk)
                    write(padding(entry.size))

    def to_directory(self, target: str, warn: Callable[[str], None]) -> int:
        """Write files; return their bytes. What the caller may not make is told to ``warn``. Raises: BlobCorrupt."""
        os.makedirs(target, exist_ok=True)
        size = 0
        directories: dict[str, Entry] = {}
        with self._contents() as contents:
            for entry in self._entries():
                path = os.path.join(target, entry.path) if entry.path else target
                if entry.kind == DIRECTORY:
                    directories[entry.path] = entry
                    _make_directory(path, is_top=not entry.path)
                    continue
                if parent_of(entry.path) not in directories:
                    directories[parent_of(entry.path)] = Entry(parent_of(entry.path), DIRECTORY, 0o755)
                    _make_directory(os.path.dirname(path), is_top=not parent_of(entry.path))
                _clear(path)
                try:
                    self._make(contents, entry, path, target)
                except PermissionError:
                    warn(f"/{entry.path}: a device was left out, only root can make it")
                    continue
                size += entry.size
        for entry in sorted(directories.values(), key=lambda item: item.path, reverse=True):
            if entry.path:
                _attributes(entry, os.path.join(target, entry.path))
        return size

    def files(self) -> Iterator[str]:
        """Yield the paths of everything but directories."""
        return (entry.path for entry in self._entries() if entry.kind != DIRECTORY)

    def _contents(self) -> Contents:
        return Contents(self._ws.store.blobs, self._ws.store.layers, self._diff_ids)

    def _entries(self) -> Iterator[Entry]:
        """Yield all entries as they are to be written, sorted by path."""
        for entry in with_links(self._ws.store.layers.tree(self._diff_ids).entries()):
            yield entry if self._epoch is None else entry._replace(mtime=self._epoch)

    def _make(self, contents: Contents, entry: Entry, path: str, target: str) -> None:
        if entry.kind == SYMLINK:
            os.symlink(entry.linkname, path)
            os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)
            return
        if entry.kind == HARDLINK:
            os.link(os.path.join(target, entry.linkname), path, follow_symlinks=False)
            return
        if entry.kind == FILE:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as out:
                for chunk, is_hole in content_of(contents, entry):
                    if is_hole:
                        out.seek(len(chunk), os.SEEK_CUR)
                    else:
                        out.write(chunk)
                out.truncate(entry.size)
        else:
            kind = {FIFO: stat.S_IFIFO, CHAR: stat.S_IFCHR, BLOCK: stat.S_IFBLK}[entry.kind]
            os.mknod(path, kind | 0o600, os.makedev(entry.major, entry.minor))
        _attributes(entry, path)


def _moved(entry: Entry, below: str) -> Entry:
    path = f"{below}/{entry.path}"
    return entry._replace(path=path, linkname=f"{below}/{entry.linkname}" if entry.kind == HARDLINK else entry.linkname)


def with_links(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries of a merged tree; a file's second and further names as hard links to the first."""
    first: dict[tuple[str, str, int], str] = {}
    for entry in entries:
        if entry.kind != FILE:
            yield entry
            continue
        path = first.setdefault((entry.linkname or entry.path, entry.xxh3, entry.offset), entry.path)
        if path == entry.path:
            yield entry._replace(linkname="")
        else:
            yield entry._replace(kind=HARDLINK, linkname=path, size=0)


def content_of(contents: Contents, entry: Entry) -> Iterator[tuple[bytes, bool]]:
    """Yield the content of a file of the layers, and of each chunk whether it is a hole.

    Raises: BlobCorrupt at its end if it is not what it was.
    """
    found = xxh3_128()
    for chunk, is_hole in contents.stretch(entry).chunks():
        found.update(chunk)
        yield chunk, is_hole
    if found.hexdigest() != entry.xxh3:
        raise BlobCorrupt(f"of /{entry.path}", f"xxh3:{found.hexdigest()}")


def _make_directory(path: str, *, is_top: bool) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        mode = os.lstat(path).st_mode
        if is_top:
            return
        if not stat.S_ISDIR(mode):
            os.unlink(path)
            os.mkdir(path, 0o700)
        elif mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(path, stat.S_IMODE(mode) | stat.S_IRWXU)  # until everything is in it


def _clear(path: str) -> None:
    """Remove what is in the way of a file; a directory with files in it stays, and is the caller's error."""
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return


def _attributes(entry: Entry, path: str) -> None:
    for name, value in entry.xattrs:
        try:
            os.setxattr(path, name, value.encode("latin-1"), follow_symlinks=False)
        except OSError:
            continue  # what this file system or user cannot keep, as docker's client has it
    os.chmod(path, entry.mode)
    os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)
