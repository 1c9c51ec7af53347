"""The content of a file where it stands in a tar: in one piece, or in parts with holes between them."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from minidock.core.entries import Entry

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


class Stretch:
    """A file of ``size`` bytes that begins at ``start`` of the open ``fd``, which may hold ``parts`` of it only.

    ``parts`` as in `Entry`. Reading never moves the descriptor's position.
    """

    def __init__(self, fd: int, start: int, size: int, parts: tuple[tuple[int, int], ...] = ()) -> None:
        self.fd = fd
        self.size = size
        self._start = start
        self._parts = parts
        self._begins = [begin for begin, _ in parts]
        self._places = list(accumulate((length for _, length in parts), initial=start))

    def read(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset``; fewer if what holds them has been cut meanwhile."""
        end = min(self.size, offset + size)
        if not self._parts:
            return os.pread(self.fd, max(end - offset, 0), self._start + offset)
        found, position = bytearray(), offset
        number = max(bisect_right(self._begins, offset) - 1, 0)
        while position < end:
            begin, length = self._parts[number]
            if position < begin:
                found += bytes(min(begin, end) - position)
            elif position < begin + length:
                wanted = min(begin + length, end) - position
                data = os.pread(self.fd, wanted, self._places[number] + position - begin)
                found += data
                if len(data) < wanted:
                    break
            else:
                number += 1
            position = offset + len(found)
        return bytes(found)

    def chunks(self) -> Iterator[tuple[bytes, bool]]:
        """Yield everything in order, and of each chunk whether it is (zeros of) a hole; less if the file was cut."""
        if not self._parts:
            yield from self._stored(self._start, self.size)
        position = 0
        for (begin, length), place in zip(self._parts, self._places, strict=False):
            for offset in range(position, begin, _CHUNK):
                yield _ZEROS[: begin - offset], True
            yield from self._stored(place, length)
            position = begin + length

    def _stored(self, start: int, size: int) -> Iterator[tuple[bytes, bool]]:
        end = start + size
        while start < end and (chunk := os.pread(self.fd, min(_CHUNK, end - start), start)):
            start += len(chunk)
            yield chunk, False


def stretch_of(fd: int, entry: Entry) -> Stretch:
    """Return the content of a file of a tar that ``fd`` has open."""
    return Stretch(fd, entry.offset, entry.size, entry.parts)
