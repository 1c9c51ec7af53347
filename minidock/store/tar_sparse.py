"""Files with holes in a tar: where their bytes belong, in each of the four ways that GNU tar has had for saying so.

The parts of a file stand in its map in order and do not overlap, and together they are what the tar holds of it.
Source: GNU tar manual, "Storing Sparse Files"; Go, archive/tar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from minidock.errors import TarError
from minidock.store.tar import BLOCK_SIZE
from minidock.store.tar_fields import SPARSE_MAP, decode_number

Exactly = Callable[[int], bytes]
Part = tuple[int, int]  # where it begins in the file, how many bytes it has

_MOST_PARTS = 1 << 16
_DIGITS = re.compile(rb"[0-9]{1,19}")


class Holes:
    """A file of ``size`` bytes of which the tar holds ``parts``, as in `Entry`; ``map_size`` bytes before are none."""

    def __init__(self, size: int, parts: tuple[Part, ...], map_size: int = 0) -> None:
        self.size = size
        self.map_size = map_size
        self.parts = (*(part for part in parts if part[1]), (size, 0))
        self._following = iter(self.parts)
        self._next = next(self._following)
        self._position = 0

    def read(self, size: int, stored: Exactly) -> bytes:
        """Return the next bytes of the file, what ``stored`` gives in the parts and zeros between them."""
        while self._position == sum(self._next) and self._position < self.size:
            self._next = next(self._following)
        start, length = self._next
        if self._position < start:
            data = bytes(min(size, start - self._position))
        else:
            left = start + length - self._position
            data = stored(min(size, left)) if left else b""
        self._position += len(data)
        return data


def holes_of(block: bytes, type_flag: bytes, records: Mapping[str, bytes], size: int, read: Exactly) -> Holes:
    """Return what a header says of a file of which the tar has ``size`` bytes; ``read`` gives what follows the header.

    Raises: TarError.
    """
    map_size = 0
    if type_flag == b"S":
        real_size = decode_number(block[483:495], "size")
        parts = _of_blocks(block, read)
    elif records.get("GNU.sparse.major") == b"1":
        real_size = _number(records.get("GNU.sparse.realsize", b""))
        map_size, parts = _of_content(size, read)
    else:
        real_size = _number(records.get("GNU.sparse.size") or records.get("GNU.sparse.realsize", b""))
        parts = _pairs([_number(text) for text in records.get(SPARSE_MAP, b"").split(b",") if text])
    _check(parts, real_size, size - map_size)
    return Holes(real_size, parts, map_size)


def _of_blocks(block: bytes, read: Exactly) -> tuple[Part, ...]:
    """Return the parts of old GNU tar's maps: four in the header, 21 in each block that follows it."""
    parts: list[Part] = []
    rows, more = block[386:482], block[482:483]
    while True:
        for start in range(0, len(rows), 24):
            row = rows[start : start + 24]
            if not row[0]:
                break
            parts.append((decode_number(row[:12], "offset"), decode_number(row[12:], "size")))
        if more in (b"", b"\0"):
            return tuple(parts)
        if len(parts) > _MOST_PARTS:
            raise TarError("a file with too many holes")
        following = read(BLOCK_SIZE)
        rows, more = following[:504], following[504:505]


def _of_content(size: int, read: Exactly) -> tuple[int, tuple[Part, ...]]:
    """Return how long the map of version 1.0 is, which stands before the content, and its parts."""
    lines: list[int] = []
    rest, used = b"", 0
    while not lines or len(lines) < 1 + 2 * lines[0]:
        line, end, rest_after = rest.partition(b"\n")
        if end:
            lines.append(_number(line))
            rest = rest_after
        elif used >= size or len(rest) > BLOCK_SIZE or (lines and lines[0] > _MOST_PARTS):
            raise TarError("malformed map of a file with holes")
        else:
            rest += read(BLOCK_SIZE)
            used += BLOCK_SIZE
    return used, _pairs(lines[1:])


def _number(text: bytes) -> int:
    if not _DIGITS.fullmatch(text):
        raise TarError(f"malformed map of a file with holes: {text[:40]!r}")
    return int(text)


def _pairs(numbers: list[int]) -> tuple[Part, ...]:
    if len(numbers) % 2 or len(numbers) > 2 * _MOST_PARTS:
        raise TarError("malformed map of a file with holes")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _check(parts: tuple[Part, ...], real_size: int, stored_size: int) -> None:
    """Make sure that the parts are in order and make up what is stored. Raises: TarError."""
    end = 0
    for start, length in parts:
        if start < end:
            raise TarError("malformed map of a file with holes: parts overlap")
        end = start + length
    if end > real_size or sum(length for _, length in parts) != stored_size:
        raise TarError("malformed map of a file with holes: its parts are not what is stored")
