"""Streams as they were before somebody compressed them: the content decides what with, and bombs are refused.

A decoder may use `_MOST_MEMORY`, and a stream may not grow out of all proportion once it is large: what honest files
hold that often is nothing but zeros, of which gzip makes a thousandth.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, BinaryIO, Protocol, cast

from minidock.errors import TarError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BZIP2, _XZ = b"BZh", b"\xfd7zX"
_MOST_MEMORY = 1 << 27
_LARGE = 1 << 30
_MOST_GROWTH = 2000
_CHUNK = 1 << 18


class _Decoder(Protocol):
    """What the standard library's decoders of one stream have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def is_compressed(head: bytes) -> bool:
    """Tell whether a stream that begins with ``head`` is one that `decompressed` decodes."""
    return head.startswith((_GZIP, _ZSTD, _BZIP2, _XZ))


def decompressed(stream: IO[bytes]) -> Plain:
    """Return the stream as a plain tar, whatever it is compressed with. Raises: TarError, also while it is read."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
    start = buffered.peek(4)[:4]
    if not is_compressed(start):
        return Plain(buffered)
    counted = _Counted(buffered)
    source = cast(BinaryIO, counted)  # the decoders read it and nothing else
    if start.startswith(_GZIP):
        return Plain(_gunzipped(source), counted)
    if start.startswith(_ZSTD):
        import zstandard

        decoder = zstandard.ZstdDecompressor(max_window_size=_MOST_MEMORY)
        return Plain(decoder.stream_reader(source, read_across_frames=True), counted)
    return Plain(_Streams(counted, is_xz=start.startswith(_XZ)), counted)


def _gunzipped(source: BinaryIO) -> object:
    """Return what unpacks gzip: igzip, in less than half of the time, or zlib where there is none."""
    try:
        from isal import igzip
    except ImportError:  # none for this kind of processor
        return gzip.GzipFile(fileobj=source)
    return igzip.IGzipFile(fileobj=source)  # type: ignore[no-untyped-call]


class _Counted:
    """A stream that knows how much was read of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self.size += len(data)
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seekable(self) -> bool:
        return False


class _Streams:
    """One stream of bzip2 or xz after the other; of xz with bounded memory, which its file class cannot have."""

    def __init__(self, source: _Counted, *, is_xz: bool) -> None:
        self._source = source
        self._is_xz = is_xz
        self._decoder = self._new()
        self._rest = b""

    def _new(self) -> _Decoder:
        if self._is_xz:
            import lzma

            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)
        import bz2

        return bz2.BZ2Decompressor()

    def read(self, size: int = -1, /) -> bytes:
        while True:
            if self._decoder.eof:
                self._rest = (self._decoder.unused_data or self._source.read(_CHUNK)).lstrip(
                    b"\0"
                )  # xz pads with zeros
                if not self._rest:
                    return b""
                self._decoder = self._new()
            if self._decoder.needs_input and not self._rest:
                self._rest = self._source.read(_CHUNK)
                if not self._rest:
                    raise EOFError("it ends before its end mark")
            given, self._rest = self._rest, b""
            data = self._decoder.decompress(given, size)
            if data:
                return data


class Plain:
    """A stream whose decoder's errors are errors of the tar."""

    def __init__(self, inner: object, packed: _Counted | None = None) -> None:
        self._inner = inner
        self._packed = packed
        self._size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, nothing at the end. Raises: TarError."""
        try:
            data: bytes = self._inner.read(size)  # type: ignore[attr-defined]
        except (OSError, EOFError, ValueError, MemoryError, zlib.error) as error:
            raise TarError(f"the compressed stream is damaged: {error}") from error
        except Exception as error:
            # Not imported for their errors' sake only: most archives are neither.
            if type(error).__module__.startswith(("zstandard", "_lzma", "lzma", "igzip_lib", "isal")):
                raise TarError(f"the compressed stream is damaged: {error}") from error
            raise
        self._size += len(data)
        if self._packed is not None and self._size > max(_LARGE, _MOST_GROWTH * self._packed.size):
            raise TarError(f"the compressed stream grows more than {_MOST_GROWTH}-fold: it is a bomb")
        return data
