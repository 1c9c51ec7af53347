"""An image with all kinds of files in it, and trees as they are told in a store and on a disk."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from minidock.core.config import ContainerConfig, HistoryEntry, ImageConfig
from minidock.core.digest import Digest
from minidock.core.entries import CHAR, DIRECTORY, FIFO, FILE, HARDLINK, OPAQUE, SYMLINK, WHITEOUT, Entry
from minidock.engine import images
from minidock.engine.platforms import architecture
from minidock.engine.workspace import Workspace
from tests.engine.building import tree_of

# By path: kind, mode, uid, gid, size, time, target of a link, digest, attributes, first name of the same file.
Told = dict[str, tuple[object, ...]]

_LONG = "long/" + "/".join(["d" * 60] * 4) + "/" + "f" * 140
_TIME = 1_600_000_000
_MAY_BIND = "\x01\x00\x00\x02\x00\x04" + "\x00" * 14  # the capability to listen on small ports
_BELOW: tuple[tuple[Entry, bytes], ...] = (
    (Entry("", DIRECTORY, 0o755, mtime=_TIME), b""),
    (Entry("bin", DIRECTORY, 0o755, mtime=_TIME), b""),
    (Entry("bin/one", FILE, 0o4755, mtime=_TIME, xattrs=(("user.note", "v\xff\x00"),)), b"one"),
    (Entry("bin/same", HARDLINK, 0o4755, mtime=_TIME, linkname="bin/one"), b""),
    (Entry("cap", FILE, 0o755, mtime=_TIME, xattrs=(("security.capability", _MAY_BIND),)), b"cap"),
    (Entry("gone", DIRECTORY, 0o755, mtime=_TIME), b""),
    (Entry("gone/file", FILE, 0o644, mtime=_TIME), b"gone"),
    (Entry("home", DIRECTORY, 0o1777, mtime=_TIME), b""),
    (Entry("home/big id", FILE, 0o640, 3_000_000, 3_000_001, mtime=_TIME + 1), b"x" * 5000),
    (Entry("home/grüße", FILE, 0o600, 1000, 1001, mtime=_TIME + 2), b"hello\n"),
    (Entry("long", DIRECTORY, 0o755, mtime=_TIME), b""),
    *((Entry(_LONG[:end], DIRECTORY, 0o755, mtime=_TIME), b"") for end in (65, 126, 187, 248)),
    (Entry(_LONG, FILE, 0o644, mtime=_TIME), b"long"),
    (Entry("old", DIRECTORY, 0o755, mtime=_TIME), b""),
    (Entry("old/hidden", FILE, 0o644, mtime=_TIME), b"hidden"),
    (Entry("pair", DIRECTORY, 0o755, mtime=_TIME), b""),
    (Entry("pair/first", FILE, 0o644, mtime=_TIME), b"both"),
    (Entry("pair/second", HARDLINK, 0o644, mtime=_TIME, linkname="pair/first"), b""),
    (Entry("pair/third", HARDLINK, 0o644, mtime=_TIME, linkname="pair/first"), b""),
    (Entry("room", DIRECTORY, 0o755, mtime=_TIME), b""),
    (Entry("room/inside", FILE, 0o644, mtime=_TIME), b"inside"),
    (Entry("turned", FILE, 0o644, mtime=_TIME), b"file"),
)  # fmt: skip
_ABOVE: tuple[tuple[Entry, bytes], ...] = (
    (Entry("", DIRECTORY, 0o755, mtime=_TIME), b""),
    (Entry("bin", DIRECTORY, 0o755, mtime=_TIME + 5), b""),
    (Entry("bin/link", SYMLINK, 0o777, 7, 8, mtime=_TIME + 3, linkname="../../../etc/passwd"), b""),
    (Entry("bin/null", CHAR, 0o666, mtime=_TIME, major=1, minor=3), b""),
    (Entry("bin/pipe", FIFO, 0o620, 5, 6, mtime=_TIME), b""),
    (Entry("empty", FILE, 0, mtime=_TIME), b""),
    (Entry("gone", WHITEOUT), b""),
    (Entry("old", DIRECTORY, 0o700, 9, 9, mtime=_TIME + 4), b""),
    (Entry("old", OPAQUE), b""),
    (Entry("old/new", FILE, 0o444, mtime=_TIME), b"new"),
    (Entry("pair", DIRECTORY, 0o755, mtime=_TIME + 7), b""),
    (Entry("pair/first", FILE, 0o640, mtime=_TIME), b"one alone"),
    (Entry("room", FILE, 0o644, mtime=_TIME + 8), b"a file now"),
    (Entry("turned", DIRECTORY, 0o750, mtime=_TIME + 6), b""),
    (Entry("turned/inside", FILE, 0o644, mtime=_TIME), b"inside"),
)


def put_messy_image(ws: Workspace, name: str) -> Digest:
    """Store an image of two layers: links, devices, odd names, attributes, large ids, deletions; return its ID."""
    with ws.store.session() as session:
        diff_ids = []
        for rows in (_BELOW, _ABOVE):
            writer = ws.store.layers.writer(session)
            for entry, content in rows:
                writer.add(entry, content)
            diff_ids.append(writer.finish(ws.store.layers, session).diff_id)
        config = ImageConfig(
            architecture=architecture(),
            created="2026-01-02T03:04:05Z",
            config=ContainerConfig(env=("PATH=/bin", "A=ü"), cmd=("/bin/one", "a b"), labels={"k": "v"}),
            diff_ids=tuple(diff_ids),
            history=tuple(HistoryEntry("2026-01-02T03:04:05Z", f"layer {number}") for number in (1, 2)),
        )
        return images.publish(ws, session, config, [name])[0]


def told_by_store(ws: Workspace, image_id: Digest) -> Told:
    """Return the tree of an image."""
    entries = [entry for entry in tree_of(ws, image_id).entries() if entry.path]
    first: dict[tuple[str, str, int], str] = {}
    found: Told = {}
    for entry in entries:
        name = first.setdefault((entry.linkname or entry.path, entry.xxh3, entry.offset), entry.path)
        is_file = entry.kind == FILE
        found[entry.path] = (
            entry.kind,
            0o777 if entry.kind == SYMLINK else entry.mode,
            entry.uid,
            entry.gid,
            entry.size,
            entry.mtime,
            entry.linkname if entry.kind == SYMLINK else "",
            entry.sha256,
            entry.xattrs,
            name if is_file else "",
            (entry.major, entry.minor),
        )
    return found


def told_by_disk(root: Path) -> Told:
    """Return the tree of a directory."""
    first: dict[int, str] = {}
    found: Told = {}
    for path in sorted(root.rglob("*"), key=lambda item: str(item.relative_to(root))):
        name, status = str(path.relative_to(root)), path.lstat()
        kinds = {
            stat.S_IFREG: FILE,
            stat.S_IFDIR: DIRECTORY,
            stat.S_IFLNK: SYMLINK,
            stat.S_IFIFO: FIFO,
            stat.S_IFCHR: CHAR,
        }
        kind = kinds[stat.S_IFMT(status.st_mode)]
        is_file = kind == FILE
        attributes = [
            (key, os.getxattr(path, key, follow_symlinks=False)) for key in os.listxattr(path, follow_symlinks=False)
        ]
        found[name] = (
            kind,
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_size if is_file else 0,
            int(status.st_mtime),
            os.readlink(path) if kind == SYMLINK else "",
            hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "",
            tuple(
                (key, value.decode("latin-1"))
                for key, value in sorted(attributes)
                if key.startswith("user.") or key == "security.capability"
            ),
            first.setdefault(status.st_ino, name) if is_file else "",
            (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind == CHAR else (0, 0),
        )
    return found
