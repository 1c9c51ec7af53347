"""Reading layer tars: bounded, strict about numbers, nothing trusted that a name, a size or a link says.

Source: as of `tar`, which writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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

_MAX_RECORD = 1 << 20  # a long name or extended header, in bytes
_MAX_RECORDS = 16  # of those before one member
_MAX_GLOBALS = 100  # values that hold for all members
_MAX_XATTRS = 1 << 17  # bytes of the attributes of one member, twice what Linux takes for one
_MAX_DEPTH = 256
_MAX_NAME, _MAX_PATH = 255, 4095  # bytes, as Linux has them
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
_PLAIN = re.compile(rb"[0-7]+")
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_KNOWN_RECORDS = frozenset(("path", "linkpath", "size", "uid", "gid", "mtime"))
_PREFIXES = (XATTR, "GNU.sparse")
# Of overlayfs itself: in a layer they would be control data, and an image never controls its unpacking.
_PRIVATE_XATTRS = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.", "user.minidock.")


class Source(Protocol):
    """A stream of an uncompressed tar."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; fewer only at the end."""
        ...


class Reader:
    """Members of a tar stream, one after the other; the content of a member is read before the next one.

    ``offset`` is the position in the stream. Work and memory are bounded for every member. Raises: TarError.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.offset = 0
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
            yield entry

    def read(self, size: int = 1 << 20) -> bytes:
        """Return the next bytes of the current member's content, empty at its end."""
        wanted = min(size, self._left)
        if not wanted:
            return b""
        data = self._exactly(wanted)
        self._left -= wanted
        return data

    def skip(self) -> None:
        """Pass over what is left of the current member."""
        while self._left:
            self.read()
        if self._pad:
            self._exactly(self._pad)
            self._pad = 0

    def drain(self) -> None:
        """Read to the end of the stream: padding after the end mark belongs to the digest of the whole."""
        while data := self._source.read(1 << 20):
            self.offset += len(data)

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
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
                self._read_record(kind, _decode_number(block[124:136], "size"), records)
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
        if not _PLAIN.match(block[148:156].lstrip(b" \0")):
            raise TarError("not a tar archive: there is no header")
        stored = _decode_number(block[148:156], "checksum")
        if stored != sum(block) - sum(block[148:156]) + 8 * 32:
            raise TarError("not a tar archive: the checksum of a header is wrong")
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
            (self._globals if kind == b"g" else records).update(_parse_records(data))
            if len(self._globals) > _MAX_GLOBALS or sum(map(len, self._globals.values())) > _MAX_RECORD:
                raise TarError("too many global headers")

    def _entry(self, block: bytes, type_flag: bytes, records: dict[str, bytes]) -> Entry:
        kind = _KINDS.get(type_flag)
        if type_flag == b"S" or any(key.startswith("GNU.sparse") for key in records):
            raise TarError("sparse files are not supported: write the tar without --sparse")
        raw = records.get("path") or _ustar_name(block)
        if kind is None:
            raise TarError(f"{_text(raw)}: unknown type {type_flag!r}")
        if kind == FILE and raw.endswith(b"/"):
            kind = DIRECTORY  # as written before ustar
        size = _record_number(records, "size", block[124:136]) if kind == FILE else 0
        self._left, self._pad = size, -size % BLOCK_SIZE
        path = clean_path(_text(raw))
        link = _text(records.get("linkpath") or block[157:257].split(b"\0", 1)[0])
        if kind == HARDLINK:
            link = clean_path(link)
        elif kind == SYMLINK and (not link or "\0" in link):
            raise TarError(f"{path}: a link without a target" if not link else f"{path}: a target with a NUL byte")
        if kind != DIRECTORY and not path:
            raise TarError("the root of a layer can only be a directory")
        entry = Entry(
            path=path,
            kind=kind,
            mode=_decode_number(block[100:108], "mode") & 0o7777,
            uid=_identity(_record_number(records, "uid", block[108:116]), path),
            gid=_identity(_record_number(records, "gid", block[116:124]), path),
            size=size,
            mtime=_seconds(records, block),
            linkname=_fitting(link) if kind in (SYMLINK, HARDLINK) else "",
            major=_decode_number(block[329:337], "device") if kind in (CHAR, BLOCK) else 0,
            minor=_decode_number(block[337:345], "device") if kind in (CHAR, BLOCK) else 0,
            xattrs=_xattrs(records),
            offset=self.offset if kind == FILE else 0,
        )
        if not (0 <= entry.major <= _MAX_MAJOR and 0 <= entry.minor <= _MAX_MINOR):
            raise TarError(f"{path}: there is no device {entry.major}:{entry.minor}")
        if abs(entry.mtime) > _MAX_TIME:
            raise TarError(f"{path}: the time {entry.mtime} is out of range")
        if kind == CHAR and entry.major == 0 and entry.minor == 0:
            raise TarError(f"{path}: a device 0:0 would be a deletion for overlayfs")
        return _as_deletion(entry)


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


def clean_path(text: str) -> str:
    """Return a member's name relative to the root, without ``.`` parts. Raises: TarError if it leaves the root."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise TarError(f"{text}: a name with '..' in a layer")
    if len(parts) > _MAX_DEPTH:
        raise TarError(f"{text[:60]}…: more than {_MAX_DEPTH} directories deep")
    if any("\0" in part for part in parts):
        raise TarError(f"{text!r}: a name with a NUL byte")
    if len(text) > _MAX_NAME // 4 and any(len(_raw(part)) > _MAX_NAME for part in parts):
        raise TarError(f"{text[:60]}…: a name longer than {_MAX_NAME} bytes")
    return _fitting("/".join(parts))


def _fitting(path: str) -> str:
    if len(path) > _MAX_PATH // 4 and len(_raw(path)) > _MAX_PATH:
        raise TarError(f"{path[:60]}…: longer than {_MAX_PATH} bytes")
    return path


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _ustar_name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] != b"ustar\0":  # GNU has other fields where ustar has the prefix
        return name
    prefix = block[345:500].split(b"\0", 1)[0]
    return prefix + b"/" + name if prefix else name


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _decode_number(field: bytes, what: str) -> int:
    if field[-1:] == b"\0" and _PLAIN.fullmatch(field, 0, len(field) - 1):
        return int(field[:-1], 8)  # as nearly every writer has it
    if field[0] & 0x80:  # GNU base-256: a two's complement number in the rest of the field
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        if value < 0 and what != "mtime":
            raise TarError(f"negative {what} in a header")
        return value
    match = _OCTAL.match(field)
    if match is None or match.end() < len(field.split(b"\0", 1)[0]):
        raise TarError(f"malformed {what} in a header: {field!r}")
    return int(match[1] or b"0", 8)


def _record_number(records: Mapping[str, bytes], name: str, field: bytes) -> int:
    if name not in records:
        return _decode_number(field, name)
    text = records[name]
    if not text.isdigit() or len(text) > 19:
        raise TarError(f"malformed {name} in an extended header: {text[:40]!r}")
    return int(text)


def _seconds(records: Mapping[str, bytes], block: bytes) -> int:
    if "mtime" not in records:
        return _decode_number(block[136:148], "mtime")
    whole, _, _ = records["mtime"].partition(b".")
    if not whole.removeprefix(b"-").isdigit() or len(whole) > 19:
        raise TarError(f"malformed mtime in an extended header: {records['mtime'][:40]!r}")
    return int(whole)


def _identity(number: int, path: str) -> int:
    if not 0 <= number <= 0xFFFFFFFE:
        raise TarError(f"{path}: owner {number} is out of range")
    return number


def _xattrs(records: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    found = []
    for key, value in records.items():
        if key.startswith(XATTR):
            name = key.removeprefix(XATTR)
            if not name.startswith(_PRIVATE_XATTRS):
                found.append((name, value.decode("latin-1")))
    if found and sum(len(name) + len(value) for name, value in found) > _MAX_XATTRS:
        raise TarError(f"extended attributes of more than {_MAX_XATTRS} bytes")
    return tuple(sorted(found))


def _parse_records(data: bytes) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        length_text = data[position:space] if space > 0 else b""
        if not length_text.isdigit():
            raise TarError("malformed extended header")
        end = position + int(length_text)
        if end <= space + 1 or end > len(data) or data[end - 1 : end] != b"\n":
            raise TarError("malformed extended header")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise TarError("malformed extended header")
        name = key.decode("utf-8", "surrogateescape")
        if name in _KNOWN_RECORDS or name.startswith(_PREFIXES):
            records[name] = value
        position = end
    return records
