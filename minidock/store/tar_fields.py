"""The fields of a tar's headers as values: numbers, names, extended records. Nothing of them is believed.

Source: as of `tar`, which writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from minidock.errors import TarError
from minidock.store.tar import XATTR

SPARSE_MAP = "GNU.sparse.map"
_MAX_DEPTH = 256
_MAX_NAME, _MAX_PATH = 255, 4095  # bytes, as Linux has them
_MAX_XATTRS = 1 << 17  # bytes of the attributes of one member, twice what Linux takes for one
_PLAIN = re.compile(rb"[0-7]+")
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_PREFIXES = (XATTR, "GNU.sparse.")
_KNOWN_RECORDS = frozenset(("path", "linkpath", "size", "uid", "gid", "mtime"))
_GNU_MAGIC = b"ustar  \0"
# Of overlayfs itself: in a layer they would be control data, and an image never controls its unpacking.
_PRIVATE_XATTRS = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.", "user.minidock.")


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
    return fitting("/".join(parts))


def fitting(path: str) -> str:
    """Return a path or target that is short enough. Raises: TarError."""
    if len(path) > _MAX_PATH // 4 and len(_raw(path)) > _MAX_PATH:
        raise TarError(f"{path[:60]}…: longer than {_MAX_PATH} bytes")
    return path


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def ustar_name(block: bytes) -> bytes:
    """Return the name in a header itself."""
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    if block[257:263] != b"ustar\0" and not (block[257:265] == _GNU_MAGIC and _is_old_go(block, prefix)):
        return name
    return prefix + b"/" + name if prefix else name


def _is_old_go(block: bytes, prefix: bytes) -> bool:
    """Tell whether a header of GNU has ustar's prefix where GNU has times, as Go wrote it before 1.8 (Go issue 12594).

    Images of those years have such layers.
    """
    try:
        decode_number(block[345:357], "atime")
        decode_number(block[357:369], "ctime")
    except TarError:
        return prefix.isascii()
    return False


def check_sum(block: bytes) -> None:
    """Make sure that a block is a header. Raises: TarError."""
    field = block[148:156]
    if not _PLAIN.match(field.lstrip(b" \0")):
        raise TarError("not a tar archive: there is no header")
    stored = decode_number(field, "checksum")
    found = sum(block) - sum(field) + 8 * 32
    if stored == found:
        return
    # Some old writers added up signed characters.
    if stored != found - 256 * sum(byte > 127 for byte in block[:148] + block[156:]):
        raise TarError("not a tar archive: the checksum of a header is wrong")


def text_of(raw: bytes) -> str:
    """Return a name as text, whatever bytes it has."""
    return raw.decode("utf-8", "surrogateescape")


def decode_number(field: bytes, what: str) -> int:
    """Return a number as ustar or GNU writes it. Raises: TarError that names ``what``."""
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


def record_number(records: Mapping[str, bytes], name: str, field: bytes) -> int:
    """Return a number from the extended records, or else from its field. Raises: TarError."""
    if not records.get(name):  # an empty record takes back one before it
        return decode_number(field, name)
    text = records[name]
    if not text.isdigit() or len(text) > 19:
        raise TarError(f"malformed {name} in an extended header: {text[:40]!r}")
    return int(text)


def seconds(records: Mapping[str, bytes], block: bytes) -> int:
    """Return the whole seconds of the time of a member. Raises: TarError."""
    if not records.get("mtime"):
        return decode_number(block[136:148], "mtime")
    whole, _, _ = records["mtime"].partition(b".")
    if not whole.removeprefix(b"-").isdigit() or len(whole) > 19:
        raise TarError(f"malformed mtime in an extended header: {records['mtime'][:40]!r}")
    return int(whole)


def identity(number: int, path: str) -> int:
    """Return the number of an owner. Raises: TarError for one that Linux does not have."""
    if not 0 <= number <= 0xFFFFFFFE:
        raise TarError(f"{path}: owner {number} is out of range")
    return number


def xattrs_of(records: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    """Return the extended attributes of a member, sorted, without those of overlayfs and of ours. Raises: TarError."""
    found = []
    for key, value in records.items():
        if key.startswith(XATTR):
            name = key.removeprefix(XATTR)
            if not name.startswith(_PRIVATE_XATTRS):
                found.append((name, value.decode("latin-1")))
    if found and sum(len(name) + len(value) for name, value in found) > _MAX_XATTRS:
        raise TarError(f"extended attributes of more than {_MAX_XATTRS} bytes")
    return tuple(sorted(found))


def parse_records(data: bytes) -> dict[str, bytes]:
    """Return those records of an extended header that mean something here. Raises: TarError."""
    records: dict[str, bytes] = {}
    places: list[bytes] = []
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
        if name in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            places.append(value)  # each is there many times
        elif name in _KNOWN_RECORDS or name.startswith(_PREFIXES):
            records[name] = value
        position = end
    if places:
        records[SPARSE_MAP] = b",".join(places)
    return records
