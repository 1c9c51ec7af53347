"""Tars written block by block, so that everything in them can be wrong."""

from __future__ import annotations


def padded(data: bytes) -> bytes:
    """Return data up to the next whole block."""
    return data + bytes(-len(data) % 512)


def block(
    name: bytes = b"f", kind: bytes = b"0", size: bytes = b"", magic: bytes = b"ustar\x0000", **fields: bytes
) -> bytes:
    """Return one header with the right checksum; fields are put at their places as they are."""
    places = {"mode": 100, "uid": 108, "gid": 116, "mtime": 136, "link": 157, "major": 329, "minor": 337, "prefix": 345}
    made = bytearray(512)
    made[: len(name)] = name
    made[100:108], made[108:116], made[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    made[124:136], made[136:148] = size or b"00000000000\0", b"00000000000\0"
    made[156:157], made[257 : 257 + len(magic)] = kind, magic
    made[329:337], made[337:345] = b"0000000\0", b"0000000\0"
    for field, value in fields.items():
        made[places[field] : places[field] + len(value)] = value
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def octal(number: int) -> bytes:
    """Return a size as most writers have it."""
    return b"%011o\0" % number


def file(name: bytes, content: bytes = b"", **fields: bytes) -> bytes:
    """Return a file with its content."""
    return block(name, size=octal(len(content)), **fields) + padded(content)


def record(kind: bytes, data: bytes) -> bytes:
    """Return an extended header (``x``, ``g``) or a long name (``L``, ``K``)."""
    return block(b"././@LongLink", kind, octal(len(data))) + padded(data)


def pax(**values: bytes) -> bytes:
    """Return an extended header; ``__`` in a key stands for a dot."""
    rows = b""
    for key, value in values.items():
        text = key.replace("__", ".").encode() + b"=" + value + b"\n"
        length = len(text) + 2
        while len(b"%d %b" % (length, text)) != length:
            length += 1
        rows += b"%d %b" % (length, text)
    return record(b"x", rows)
