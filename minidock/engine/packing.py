"""Layers as they leave the store: packed on the way, the same bytes on every machine, and compared with their digests.

gzip without a level is igzip's second: ten times as fast as zlib -6, for a tenth more bytes. Its first two levels give
the same bytes on every x86-64 with SSE 4.2; the third, which depends on AVX2, is left alone. A level asks for zlib.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.packing import GZIP, UNCOMPRESSED, Compression
from minidock.engine.parallel_gzip import ParallelGzip
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt

_CHUNK = 1 << 20
_GZIP_WINDOW = 31  # the largest, with gzip's own head, whose time is 0
_IGZIP_LEVEL = 2
_ZLIB_LEVEL, _ZSTD_LEVEL = 6, 3


class Packer(NamedTuple):
    """Packs one stream: ``compress`` gives some bytes or none, ``finish`` the rest; ``close`` gives up."""

    compress: Callable[[bytes], bytes]
    finish: Callable[[], bytes]
    close: Callable[[], object] = lambda: None


def packer(wanted: Compression) -> Packer:
    """Return a packer for one stream."""
    if wanted.kind == UNCOMPRESSED:
        return Packer(bytes, bytes)
    if wanted.kind == GZIP:
        return _gzip_packer(wanted.level)
    import zstandard

    level = _ZSTD_LEVEL if wanted.level is None else wanted.level
    zstd = zstandard.ZstdCompressor(level=level).compressobj()
    return Packer(zstd.compress, zstd.flush)


def _gzip_packer(level: int | None) -> Packer:
    if level is None:
        try:
            from isal import isal_zlib
        except ImportError:  # there is none for this kind of processor
            level = _ZLIB_LEVEL
        else:
            igzip = isal_zlib.compressobj(_IGZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
            return Packer(igzip.compress, igzip.flush)
    gzip = ParallelGzip(level)
    return Packer(gzip.compress, gzip.finish, gzip.close)


class PackedBlob:
    """A blob of the store, read and packed as often as `chunks` is called; `descriptor` is that of the last time.

    ``watch`` is told how many bytes have been read, and may raise.
    """

    def __init__(
        self, ws: Workspace, blob: Digest, wanted: Compression, watch: Callable[[int], None] = lambda size: None
    ) -> None:
        self._ws = ws
        self._blob = blob
        self._wanted = wanted
        self._watch = watch
        self._packed = sha256()
        self._size = 0
        self.is_complete = False  # all of it has come out, the last time

    @property
    def descriptor(self) -> Descriptor:
        """What came out, packed, once `chunks` has ended."""
        return Descriptor(self._wanted.media_type, Digest(self._packed.hexdigest()), self._size)

    def chunks(self) -> Iterator[bytes]:
        """Yield the packed bytes. Raises: BlobNotFound, BlobCorrupt instead of the end of what is damaged."""
        self._packed, self._size, self.is_complete = sha256(), 0, False
        content, packing, done = sha256(), packer(self._wanted), 0
        try:
            with os.fdopen(self._ws.store.blobs.open(self._blob), "rb") as file:
                while chunk := file.read(_CHUNK):
                    content.update(chunk)
                    done += len(chunk)
                    self._watch(done)
                    yield from self._out(packing.compress(chunk))
            if content.hexdigest() != self._blob.hex:
                raise BlobCorrupt(self._blob, Digest(content.hexdigest()))
            yield from self._out(packing.finish())
            self.is_complete = True
        finally:
            packing.close()

    def _out(self, data: bytes) -> Iterator[bytes]:
        if data:
            self._packed.update(data)
            self._size += len(data)
            yield data
