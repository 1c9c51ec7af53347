"""gzip by zlib on all processors: blocks of a fixed size, each packed by itself with the end of the one before as its
dictionary, and put one after the other into a single stream. The bytes do not depend on how many processors there are.

Source: RFC 1951, RFC 1952; pigz, README.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"  # deflate, no name, no time, Unix
_LAST_BLOCK = b"\x03\x00"
_BLOCK = 1 << 20
_WINDOW = 1 << 15
_RAW = -15


class ParallelGzip:
    """Packs one stream; ends with `finish`, or `close` where it is given up."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._count = len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._count)
        self._pending: deque[Future[bytes]] = deque()
        self._rest = bytearray()
        self._before = b""
        self._crc = 0
        self._size = 0

    def compress(self, data: bytes) -> bytes:
        """Take in bytes; return those that are packed so far."""
        self._crc = zlib.crc32(data, self._crc)
        out = [] if self._size else [_HEAD]
        self._size += len(data)
        self._rest += data
        while len(self._rest) >= _BLOCK:
            self._submit(bytes(self._rest[:_BLOCK]))
            del self._rest[:_BLOCK]
        while len(self._pending) > 2 * self._count:
            out.append(self._pending.popleft().result())
        return b"".join(out)

    def finish(self) -> bytes:
        """Return the rest."""
        out = [] if self._size else [_HEAD]
        if self._rest:
            self._submit(bytes(self._rest))
        out += [future.result() for future in self._pending]
        self._pending.clear()
        self.close()
        return b"".join(
            [*out, _LAST_BLOCK, self._crc.to_bytes(4, "little"), (self._size % 2**32).to_bytes(4, "little")]
        )

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, block: bytes) -> None:
        self._pending.append(self._pool.submit(_packed, block, self._before, self._level))
        self._before = block[-_WINDOW:]


def _packed(block: bytes, before: bytes, level: int) -> bytes:
    """Return a block as raw deflate that ends at a byte."""
    usual = (level, zlib.DEFLATED, _RAW, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY)
    packer = zlib.compressobj(*usual, before) if before else zlib.compressobj(*usual)
    return packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
