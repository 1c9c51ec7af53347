"""Reading layer tars: bounded, strict about numbers, nothing trusted that a name, a size or a link says.

Source: as of `tar`, which writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

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
from minidock.errors import TarError
from minidock.store.tar import BLOCK_SIZE, OPAQUE_NAME, WHITEOUT_PREFIX, XATTR
from minidock.store.tar_fields import (
    check_sum,
    clean_path,
    decode_number,
    fitting,
    identity,
    parse_records,
    record_number,
    seconds,
    text_of,
    ustar_name,
    xattrs_of,
)
from minidock.store.tar_sparse import Holes, holes_of

_MAX_RECORD = 1 << 20  # a long name or extended header, in bytes
_MAX_RECORDS = 16  # of those before one member
_MAX_GLOBALS = 100  # values that hold for all members
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1
_MAX_TIME = 1 << 40  # seconds: more than 30,000 years
_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,
    b"1": HARDLINK,
    b"2": SYMLINK,
    b"3": CHAR,
    b"4": BLOCK,
    b"5": DIRECTORY,
    b"6": FIFO,
}
_ENTRY_SIZE = 600  # bytes of memory for an entry, without names and attributes
_USUAL_NAMES = 400  # bytes of names and attributes that an entry may have on average, once there are many
_MOST_MEMORY = 1 << 30  # for the entries of one tar: some 1.5 million files
_LARGE = 32 << 20
_PART_SIZE = 150  # bytes of memory for a part of a file with holes
_FEW_HOLES = 1 << 30  # bytes of files that the tar does not hold; more only in proportion to what was read, as where
_MOST_GROWTH = 2000  # bytes are compressed


class Source(Protocol):
    """A stream of an uncompressed tar."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; fewer only at the end."""
        ...


class Reader:
    """Members of a tar stream, one after the other; the content of a member is read before the next one.

    ``offset`` is the position in the stream, ``memory`` how many bytes the entries take together up to now. Work and
    memory are bounded for every member, ``memory`` by ``most_memory``. Holes in files, which `read` fills, have at most
    ``room`` bytes. Raises: TarError.
    """

    def __init__(self, source: Source, most_memory: int = _MOST_MEMORY, room: int | None = None) -> None:
        self._source = source
        self._most_memory = most_memory
        self._room = room
        self._count = self._names_size = self._parts_size = self._holes_size = 0
        self.offset = self.memory = 0
        self._holes: Holes | None = None
        self._left = 0  # content of the current member not read yet
        self._pad = 0
        self._globals: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        """Yield every member as an entry (no digests yet); the root directory as path ``""``."""
        while True:
            self.skip()
            entry = self._member()
            if entry is None:
                return
            self._count_memory(entry)
            yield entry

    def _count_memory(self, entry: Entry) -> None:
        self._count += 1
        self._names_size += len(entry.path) + len(entry.linkname)
        self._names_size += sum(len(name) + len(value) for name, value in entry.xattrs) if entry.xattrs else 0
        self._parts_size += _PART_SIZE * len(entry.parts)
        self.memory = total = self._count * _ENTRY_SIZE + self._names_size + self._parts_size
        if total > self._most_memory or self._names_size > _LARGE + self._count * _USUAL_NAMES:
            raise TarError(f"the names and attributes of its members take more than {total >> 20} MiB")

    def read(self, size: int = 1 << 20) -> bytes:
        """Return the next bytes of the current member's content, empty at its end."""
        return self._stored(size) if self._holes is None else self._holes.read(size, self._stored)

    def _stored(self, size: int) -> bytes:
        wanted = min(size, self._left)
        if not wanted:
            return b""
        data = self._exactly(wanted)
        self._left -= wanted
        return data

    def skip(self) -> None:
        """Pass over what is left of the current member."""
        while self._left:
            self._stored(1 << 20)
        self._holes = None
        pad, self._pad = self._pad, 0
        if pad and (data := self._source.read(pad)):  # umoci's layers end with the content of the last file
            self.offset += len(data)
            self._exactly(pad - len(data))

    def drain(self) -> None:
        """Read to the end of the stream: padding after the end mark belongs to the digest of the whole."""
        while data := self._source.read(1 << 20):
            self.offset += len(data)

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size) if size else b""
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                raise TarError("unexpected EOF: the tar stream ends in the middle of a member")
            data += more
        self.offset += size
        return data

    def _member(self) -> Entry | None:
        records: dict[str, bytes] = {}
        for _ in range(_MAX_RECORDS):
            block = self._block()
            if block is None:
                return None
            kind = block[156:157]
            if kind in (b"x", b"g", b"L", b"K"):
                self._read_record(kind, decode_number(block[124:136], "size"), records)
                continue
            return self._entry(block, kind, {**self._globals, **records})
        raise TarError("too many extended headers before one member")

    def _block(self) -> bytes | None:
        block = self._source.read(BLOCK_SIZE)
        if not block:
            return None  # some writers leave the end mark out
        self.offset += len(block)
        if len(block) < BLOCK_SIZE:
            block += self._exactly(BLOCK_SIZE - len(block))
        if not any(block):
            return None
        check_sum(block)
        return block

    def _read_record(self, kind: bytes, size: int, records: dict[str, bytes]) -> None:
        if size > _MAX_RECORD:
            raise TarError(f"extended header of {size} bytes; at most {_MAX_RECORD} are accepted")
        data = self._exactly(size)
        self._exactly(-size % BLOCK_SIZE)
        if kind == b"L":
            records["path"] = data.rstrip(b"\0")
        elif kind == b"K":
            records["linkpath"] = data.rstrip(b"\0")
        else:
            (self._globals if kind == b"g" else records).update(parse_records(data))
            if kind == b"g" and any(key.startswith((XATTR, "GNU.sparse")) for key in self._globals):
                raise TarError("a global header with attributes that no two files have in common")
            if len(self._globals) > _MAX_GLOBALS or sum(map(len, self._globals.values())) > _MAX_RECORD:
                raise TarError("too many global headers")

    def _entry(self, block: bytes, type_flag: bytes, records: dict[str, bytes]) -> Entry:
        is_sparse = type_flag == b"S" or any(key.startswith("GNU.sparse.") for key in records)
        kind = FILE if type_flag == b"S" else _KINDS.get(type_flag)
        raw = (records.get("GNU.sparse.name") if is_sparse else None) or records.get("path") or ustar_name(block)
        if kind is None:
            raise TarError(f"{text_of(raw)}: unknown type {type_flag!r}")
        size = record_number(records, "size", block[124:136]) if kind == FILE else 0
        if kind == FILE and raw.endswith(b"/"):
            kind = DIRECTORY  # as written before ustar
            if size:
                raise TarError(f"{text_of(raw)}: a directory with content, which others take for a file")
        self._left, self._pad = size, -size % BLOCK_SIZE
        if is_sparse and kind == FILE:
            self._holes = holes_of(block, type_flag, records, size, self._exactly)
            self._left -= self._holes.map_size
            self._count_holes(self._holes.size - self._left, raw)
            size = self._holes.size
        path = clean_path(text_of(raw))
        link = text_of(records.get("linkpath") or block[157:257].split(b"\0", 1)[0])
        if kind == HARDLINK:
            link = clean_path(link)
        elif kind == SYMLINK and (not link or "\0" in link):
            raise TarError(f"{path}: a link without a target" if not link else f"{path}: a target with a NUL byte")
        if kind != DIRECTORY and not path:
            raise TarError("the root of a layer can only be a directory")
        entry = Entry(
            path=path,
            kind=kind,
            mode=decode_number(block[100:108], "mode") & 0o7777,
            uid=identity(record_number(records, "uid", block[108:116]), path),
            gid=identity(record_number(records, "gid", block[116:124]), path),
            size=size,
            mtime=seconds(records, block),
            linkname=fitting(link) if kind in (SYMLINK, HARDLINK) else "",
            major=decode_number(block[329:337], "device") if kind in (CHAR, BLOCK) else 0,
            minor=decode_number(block[337:345], "device") if kind in (CHAR, BLOCK) else 0,
            xattrs=xattrs_of(records),
            offset=self.offset if kind == FILE else 0,
            parts=self._holes.parts if self._holes is not None else (),
        )
        if not (0 <= entry.major <= _MAX_MAJOR and 0 <= entry.minor <= _MAX_MINOR):
            raise TarError(f"{path}: there is no device {entry.major}:{entry.minor}")
        if abs(entry.mtime) > _MAX_TIME:
            raise TarError(f"{path}: the time {entry.mtime} is out of range")
        if kind == CHAR and entry.major == 0 and entry.minor == 0:
            raise TarError(f"{path}: a device 0:0 would be a deletion for overlayfs")
        return _as_deletion(entry)

    def _count_holes(self, size: int, name: bytes) -> None:
        self._holes_size += size
        if self._holes_size > max(_FEW_HOLES, _MOST_GROWTH * self.offset):
            raise TarError(f"{text_of(name)}: holes of {self._holes_size} bytes in the files of a tar: it is a bomb")
        if self._room is not None and self._holes_size > self._room:
            raise TarError(f"{text_of(name)}: holes of {self._holes_size} bytes, and the disk has no room for them")


def _as_deletion(entry: Entry) -> Entry:
    name = name_of(entry.path)
    if not name.startswith(WHITEOUT_PREFIX):
        return entry
    directory = parent_of(entry.path)
    if name == OPAQUE_NAME:
        return Entry(directory, OPAQUE)
    hidden = name.removeprefix(WHITEOUT_PREFIX)
    if not hidden or hidden in (".", "..") or hidden.startswith(WHITEOUT_PREFIX):
        raise TarError(f"{entry.path}: malformed whiteout")
    return Entry(join(directory, hidden), WHITEOUT)
