"""Tars without holes: what has them is written out, everything else stays as it is, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from minidock.store import tar
from minidock.store.tar_reader import Reader, Source

_CHUNK = 1 << 20


class Filled:
    """A tar stream, given in one or several parts, in which files have no holes.

    Raises: TarError, while it is read.
    """

    def __init__(self, *parts: Source) -> None:
        self._blocks = _blocks(_Joined(parts))
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        while not self._rest:
            following = next(self._blocks, None)
            if following is None:
                return b""
            self._rest = following
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _blocks(source: Source) -> Iterator[bytes]:
    recorded = _Recorded(source)
    reader = Reader(recorded)
    for entry in reader:
        has_holes = reader.holes is not None
        headers = recorded.take()
        yield tar.header(entry) if has_holes else headers
        while chunk := reader.read(_CHUNK):
            yield chunk
            recorded.take()
        reader.skip()
        padding = recorded.take()
        yield tar.padding(entry.size) if has_holes else padding
    yield recorded.take()
    while chunk := source.read(_CHUNK):
        yield chunk


class _Joined:
    """Sources one after the other."""

    def __init__(self, parts: Iterable[Source]) -> None:
        self._parts = list(parts)

    def read(self, size: int, /) -> bytes:
        while self._parts:
            if data := self._parts[0].read(size):
                return data
            self._parts.pop(0)
        return b""


class _Recorded:
    """A source that remembers what was read of it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: list[bytes] = []

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._found.append(data)
        return data

    def take(self) -> bytes:
        """Return what was read since the last time."""
        found, self._found = b"".join(self._found), []
        return found
