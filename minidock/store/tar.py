"""Writing layer tars: the same bytes for the same entries. `tar_reader` reads them.

Own code because layers are this program's main work: the standard library writes some 4,000 files a second where a
lean header writer keeps up with GNU tar, and its extraction has had flaws every year (see the tests for both peers).
Source: POSIX.1-2017 pax ("ustar Interchange Format", "pax Header Block"), GNU tar manual, OCI image-spec layer.md.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    join,
    name_of,
    parent_of,
)

BLOCK_SIZE = 512
END = bytes(2 * BLOCK_SIZE)
WHITEOUT_PREFIX = ".wh."
OPAQUE_NAME = ".wh..wh..opq"

_TYPES = {FILE: b"0", HARDLINK: b"1", SYMLINK: b"2", CHAR: b"3", BLOCK: b"4", DIRECTORY: b"5", FIFO: b"6"}
XATTR = "SCHILY.xattr."


def header(entry: Entry) -> bytes:
    """Return the header blocks of an entry: ustar, and a pax record before it only where ustar cannot say it.

    No user and group names, no second times; the same entry always gives the same bytes.
    """
    path = _member_name(entry)
    kind = FILE if entry.is_deletion else entry.kind
    size = entry.size if entry.kind == FILE else 0
    records: dict[str, bytes] = {}
    name, prefix = _split_name(path, records)
    link = entry.linkname.encode("utf-8", "surrogateescape")
    if len(link) > 100 or not link.isascii():
        records["linkpath"] = link
        link = link[:100] if link.isascii() else b""
    uid = _number(entry.uid, 0o7777777, "uid", records)
    gid = _number(entry.gid, 0o7777777, "gid", records)
    stored_size = _number(size, 0o77777777777, "size", records)
    mtime = _number(entry.mtime, 0o77777777777, "mtime", records)
    for key, value in entry.xattrs:
        records[XATTR + key] = value.encode("latin-1")
    main = _ustar(name, entry.mode, uid, gid, stored_size, mtime, _TYPES[kind], link, entry.major, entry.minor, prefix)
    return _extended(records) + main if records else main


def padding(size: int) -> bytes:
    """Return the zero bytes that fill the last block of ``size`` bytes of content."""
    return bytes(-size % BLOCK_SIZE)


def _member_name(entry: Entry) -> bytes:
    path = entry.path
    if entry.kind == WHITEOUT:
        path = join(parent_of(path), WHITEOUT_PREFIX + name_of(path))
    elif entry.kind == OPAQUE:
        path = join(path, OPAQUE_NAME)
    elif entry.kind == DIRECTORY:
        path = f"{path}/" if path else "./"
    return path.encode("utf-8", "surrogateescape")


def _split_name(path: bytes, records: dict[str, bytes]) -> tuple[bytes, bytes]:
    if path.isascii():
        if len(path) <= 100:
            return path, b""
        if len(path) <= 256:
            cut = path.find(b"/", len(path) - 101, -1)
            if 0 < cut <= 155:
                return path[cut + 1 :], path[:cut]
    records["path"] = path
    return (path[:100] if path.isascii() else b"pax"), b""


def _number(value: int, largest: int, name: str, records: dict[str, bytes]) -> int:
    if 0 <= value <= largest:
        return value
    records[name] = b"%d" % value
    return 0


def _ustar(
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    kind: bytes,
    link: bytes,
    major: int,
    minor: int,
    prefix: bytes,
) -> bytes:
    start = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, uid, gid, size, mtime)
    rest = b"%b%bustar\0%b%b%07o\0%07o\0%b" % (
        kind,
        link.ljust(100, b"\0"),
        b"00",
        bytes(64),
        major,
        minor,
        prefix.ljust(167, b"\0"),
    )
    checksum = sum(start) + sum(rest) + 8 * 32
    return b"%b%06o\0 %b" % (start, checksum, rest)


def _extended(records: Mapping[str, bytes]) -> bytes:
    body = b"".join(_record(key.encode("utf-8", "surrogateescape"), records[key]) for key in sorted(records))
    head = _ustar(b"PaxHeaders.0/pax", 0o644, 0, 0, len(body), 0, b"x", b"", 0, 0, b"")
    return head + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    digits = len(str(length))
    while len(str(length + digits)) != digits:
        digits = len(str(length + digits))
    return b"%d %b=%b\n" % (length + digits, key, value)
