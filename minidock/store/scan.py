"""From files to entries: what a process changed, as the entries of a layer.

Two ways, for the two kinds of root file system: the upper directory of an overlay holds the changes (`Overlay`);
a private copy is compared with the merged tree it was made from (`compare_copy`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from types import MappingProxyType

from xxhash import xxh3_128

from minidock.core.dataclass import dataclass
from minidock.core.entries import (
    BLOCK,
    CHAR,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
    WHITEOUT,
    Entry,
    Tree,
    ancestors,
    join,
    parent_of,
)
from minidock.core.id_mode import IdMode
from minidock.store.notes import Noted, birth_time
from minidock.store.own_files import fingerprint, list_directory, open_unreadable, read_xattrs
from minidock.store.unpack import DEVICE_XATTR, OWNER_XATTR
from minidock.store.writer import Disk

# Of overlayfs and of this program; also a container's own attributes of such names never become a part of a layer.
PRIVATE_XATTRS = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.", "user.minidock.")
_FUSE_OPAQUE = "user.fuseoverlayfs.opaque"
_FUSE_WHITEOUT = ".wh."  # before the name, where devices cannot be made
_FUSE_MARKS = (".wh..wh..opq", ".wh..opq")  # beside the attribute, in a directory that hides the one below
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, FILE),
    (stat.S_ISDIR, DIRECTORY),
    (stat.S_ISLNK, SYMLINK),
    (stat.S_ISCHR, CHAR),
    (stat.S_ISBLK, BLOCK),
    (stat.S_ISFIFO, FIFO),
)
_DEVICE = re.compile(rb"(char|block):([0-9]{1,10}):([0-9]{1,10})")  # what a container puts there may be anything
# What useradd and the like keep of the files that they change. They ask whose the original is, and with a single id
# hear root; these are the only files of which that is known to reach a layer by way of stat(2).
_BACKUPS = frozenset(f"etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid"))
# ino, size, mode, mtime_ns, ctime_ns of every file when a copy was made.
Baseline = Mapping[str, tuple[int, int, int, int, int]]
EMPTY: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose a file is, in the words of the image.

    In single-id mode the disk does not tell: a private attribute does, or what was ``noted`` by inode, else the layers
    below, else ``step_user`` (who ran the step that made the file).
    """

    id_mode: IdMode
    lower: Tree
    step_user: tuple[int, int] = (0, 0)
    noted: Noted = field(default_factory=dict)

    def of(self, path: str, source: str, status: os.stat_result, xattrs: Mapping[str, bytes]) -> tuple[int, int]:
        """Return uid and gid of the file at ``path``, which is ``source`` on the host."""
        if self.id_mode.has_real_owners:
            return status.st_uid, status.st_gid
        original = self.lower.get(path[:-1]) if path in _BACKUPS else None
        if original is not None:
            return original.uid, original.gid
        uid, _, gid = xattrs.get(OWNER_XATTR, b"").partition(b":")
        if uid.isdigit() and gid.isdigit():
            return int(uid), int(gid)
        noted = self.noted.get(status.st_ino)
        if noted is not None and birth_time(source) == noted.born:
            return noted.uid, noted.gid
        below = self.lower.get(path)
        if below is not None and _kind_of(status) == below.kind:
            return below.uid, below.gid
        return self.step_user


@dataclass(frozen=True, slots=True)
class Found:
    """A change: its entry (a file's digests still missing) and the path of its content on the host."""

    entry: Entry
    source: str
    xattrs: Mapping[str, bytes]


@contextmanager
def opened(disk: Disk, root: str) -> Iterator[Mapping[str, int]]:
    """Let a plain user read everything of his own below ``root``; yield the true modes of what that changed, by path.

    The modes are put back afterwards. Root may read anything.
    """
    modes: dict[str, int] = {}
    try:
        if os.geteuid():
            _open_below(disk, root, modes)
        yield modes
    finally:
        for path in reversed(modes):
            try:
                disk.chmod(_host_path(root, path), modes[path])
            except FileNotFoundError:
                continue  # removed meanwhile


def _open_below(disk: Disk, root: str, modes: dict[str, int]) -> None:
    def open_one(path: str, status: os.stat_result, needed: int) -> None:
        mode = stat.S_IMODE(status.st_mode)
        if mode & needed != needed:
            modes[path] = mode
            disk.chmod(_host_path(root, path), mode | needed)

    pending = [""]
    open_one("", os.lstat(root), 0o700)
    while pending:
        directory = pending.pop()
        with os.scandir(_host_path(root, directory)) as listing:
            for item in listing:
                path, status = join(directory, item.name), item.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    open_one(path, status, 0o700)
                    pending.append(path)
                elif stat.S_ISREG(status.st_mode):
                    open_one(path, status, 0o400)


def _host_path(root: str, path: str) -> str:
    return f"{root}/{path}" if path else root


def scan_upper(disk: Disk, upper: str, owners: Owners, modes: Mapping[str, int] = EMPTY) -> list[Found]:
    """Return what the upper directory of an overlay says, sorted by path, every parent directory included.

    The same changes give the same entries as `compare_copy` finds: what was copied up and left as it was is none, and
    a directory that hides the one below is told by whiteouts of what is missing. ``modes`` are those of `opened`.
    """
    present: dict[str, Found] = {}
    opaque: list[str] = []
    opaque_name = "user.overlay.opaque" if owners.id_mode.is_user_namespace else "trusted.overlay.opaque"
    inodes: dict[tuple[int, int], str] = {}
    for path, source, status in _walk(disk, upper):
        name = path.rpartition("/")[2]
        if name in _FUSE_MARKS:
            continue
        if name.startswith(_FUSE_WHITEOUT):
            deleted = join(parent_of(path), name.removeprefix(_FUSE_WHITEOUT))
            if deleted in owners.lower:
                present.setdefault(deleted, Found(Entry(deleted, WHITEOUT), source, {}))
            continue
        xattrs = read_xattrs(source)
        if _is_whiteout(status, xattrs):
            if path in owners.lower:
                present[path] = Found(Entry(path, WHITEOUT), source, xattrs)
            continue
        entry = _entry(path, source, status, xattrs, owners, modes.get(path))
        if entry is not None:
            present[path] = Found(_as_link(entry, status, inodes), source, xattrs)
            if entry.kind == DIRECTORY and b"y" in map(xattrs.get, (opaque_name, _FUSE_OPAQUE)):
                opaque.append(path)
    directories = {path: found for path, found in present.items() if found.entry.kind == DIRECTORY}
    for hidden in (entry.path for directory in opaque for entry in owners.lower.below(directory)):
        if hidden not in present and parent_of(hidden) in directories:
            present[hidden] = Found(Entry(hidden, WHITEOUT), f"{upper}/{hidden}", {})
    return _changes(disk, present, directories, owners.lower)


def compare_copy(
    disk: Disk, root: str, owners: Owners, baseline: Baseline, modes: Mapping[str, int] = EMPTY
) -> list[Found]:
    """Return how the private copy at ``root`` differs from the tree it was made from, as a layer's entries.

    A file whose inode, size, mode and both times are as in ``baseline`` is unchanged; any other is read and compared.
    ``modes`` are those of `opened`.
    """
    touched: dict[str, Found] = {}
    directories: dict[str, Found] = {}
    seen: set[str] = set()
    inodes: dict[tuple[int, int], str] = {}
    for path, source, status in _walk(disk, root):
        seen.add(path)
        is_touched = baseline.get(path) != fingerprint(status)
        if not is_touched and not stat.S_ISDIR(status.st_mode):
            continue
        xattrs = read_xattrs(source)
        entry = _entry(path, source, status, xattrs, owners, modes.get(path))
        if entry is None:
            seen.discard(path)
            continue
        found = Found(_as_link(entry, status, inodes), source, xattrs)
        if entry.kind == DIRECTORY:
            directories[path] = found
        if is_touched:
            touched[path] = found
    for entry in owners.lower.entries():
        if entry.path not in seen and parent_of(entry.path) in directories:
            touched[entry.path] = Found(Entry(entry.path, WHITEOUT), "", {})
    return _changes(disk, touched, directories, owners.lower)


def _changes(disk: Disk, touched: Mapping[str, Found], directories: Mapping[str, Found], lower: Tree) -> list[Found]:
    """Return those that differ from what lies below, with their parents and the files that hard links name."""
    same = {path for path, found in touched.items() if found.entry.kind != HARDLINK and _is_equal(disk, found, lower)}
    same |= {path for path, found in touched.items() if _is_same_link(found.entry, lower, same)}
    changed = {path: found for path, found in touched.items() if path not in same}
    for found in list(changed.values()):
        if found.entry.kind == HARDLINK:
            changed.setdefault(found.entry.linkname, touched[found.entry.linkname])
    for path in list(changed):
        for directory in ancestors(path):
            changed.setdefault(directory, directories[directory])
    changed.setdefault("", directories[""])
    return [changed[path] for path in sorted(changed)]


def _walk(disk: Disk, root: str) -> list[tuple[str, str, os.stat_result]]:
    """Return (path, host path, status) of ``root`` and all below it, sorted by path."""
    found = [("", root, os.lstat(root))]
    pending = [("", root)]
    while pending:
        directory, source = pending.pop()
        for item in list_directory(disk, source):
            path = join(directory, item.name)
            status = item.stat(follow_symlinks=False)
            found.append((path, item.path, status))
            if stat.S_ISDIR(status.st_mode):
                pending.append((path, item.path))
    found.sort(key=lambda item: item[0])
    return found


def _as_link(entry: Entry, status: os.stat_result, inodes: dict[tuple[int, int], str]) -> Entry:
    if entry.kind != FILE or status.st_nlink == 1:
        return entry
    first = inodes.setdefault((status.st_dev, status.st_ino), entry.path)
    return entry if first == entry.path else entry._replace(kind=HARDLINK, size=0, linkname=first)


def _kind_of(status: os.stat_result) -> str | None:
    return next((kind for test, kind in _KINDS if test(status.st_mode)), None)


def _is_whiteout(status: os.stat_result, xattrs: Mapping[str, bytes]) -> bool:
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    is_empty_file = stat.S_ISREG(status.st_mode) and status.st_size == 0
    return is_empty_file and any(name.endswith(".overlay.whiteout") for name in xattrs)


def _entry(
    path: str,
    source: str,
    status: os.stat_result,
    xattrs: Mapping[str, bytes],
    owners: Owners,
    mode: int | None,
) -> Entry | None:
    kind = _kind_of(status)
    if kind is None:
        return None  # a socket is of its process, not of the image
    uid, gid = owners.of(path, source, status, xattrs)
    device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (CHAR, BLOCK) else (0, 0)
    size = status.st_size if kind == FILE else 0
    marked = _DEVICE.fullmatch(xattrs.get(DEVICE_XATTR, b""))
    if marked and kind == FILE:
        kind, size = marked[1].decode(), 0
        device = (int(marked[2]), int(marked[3]))
    return Entry(
        path=path,
        kind=kind,
        mode=0o777 if kind == SYMLINK else stat.S_IMODE(status.st_mode) if mode is None else mode,
        uid=uid,
        gid=gid,
        size=size,
        mtime=int(status.st_mtime_ns // 1_000_000_000),
        linkname=os.readlink(source) if kind == SYMLINK else "",
        major=device[0],
        minor=device[1],
        xattrs=tuple(
            (name, value.decode("latin-1"))
            for name, value in sorted(xattrs.items())
            if not name.startswith(PRIVATE_XATTRS)
        ),
    )


def _is_equal(disk: Disk, found: Found, lower: Tree) -> bool:
    entry, below = found.entry, lower.get(found.entry.path)
    if below is None or entry.kind != below.kind:
        return False
    if entry.kind == SYMLINK:
        below = below._replace(mode=entry.mode)  # a link has none, whatever a tar says
    attributes = ("mode", "uid", "gid", "size", "mtime", "major", "minor", "xattrs")
    if any(getattr(entry, name) != getattr(below, name) for name in attributes):
        return False
    if entry.kind == SYMLINK:
        return entry.linkname == below.linkname
    return entry.kind != FILE or _xxh3(disk, found.source, entry.mode) == below.xxh3


def _is_same_link(entry: Entry, lower: Tree, same: Container[str]) -> bool:
    """Whether a hard link, and the file it is one more name of, are as they were."""
    if entry.kind != HARDLINK or entry.linkname not in same:
        return False
    name, target = lower.get(entry.path), lower.get(entry.linkname)
    return name is not None and target is not None and (name.linkname or name.path) == (target.linkname or target.path)


def _xxh3(disk: Disk, path: str, mode: int) -> str:
    fast = xxh3_128()
    with os.fdopen(open_unreadable(disk, path, mode), "rb") as file:
        while chunk := file.read(1 << 20):
            fast.update(chunk)
    return fast.hexdigest()
