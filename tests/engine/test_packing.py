"""Packers of layers: what comes out is what went in, and the same bytes whoever packs."""

from __future__ import annotations

import gzip
import os
import random
import zlib

import pytest
import zstandard

from minidock.core.packing import Compression
from minidock.engine.packing import packer
from minidock.engine.parallel_gzip import ParallelGzip

TEXT = b"".join(f"line {number % 977}\n".encode() for number in range(400_000))
NOISE = random.Random(4).randbytes(3_000_000)


def packed(wanted: Compression, data: bytes, step: int = 1 << 20) -> bytes:
    found = packer(wanted)
    parts = [found.compress(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join([*parts, found.finish()])


@pytest.mark.parametrize("data", [b"", b"x", TEXT, NOISE, TEXT[: 1 << 20], bytes(5 << 20)])
@pytest.mark.parametrize("level", [None, 0, 1, 6, 9])
def test_gzip_gives_back_what_went_in(level: int | None, data: bytes) -> None:
    out = packed(Compression("gzip", level), data)
    assert gzip.decompress(out) == data
    assert zlib.decompress(out, 31) == data  # one member, for readers that know of no second one
    assert out[4:8] == bytes(4)


@pytest.mark.parametrize("data", [b"", TEXT, NOISE])
def test_zstd_and_nothing_give_back_what_went_in(data: bytes) -> None:
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed(Compression("zstd"), data)) == data
    assert packed(Compression("uncompressed"), data) == data


@pytest.mark.parametrize("level", [None, 1, 6])
def test_the_bytes_depend_on_neither_processors_nor_portions(level: int | None) -> None:
    whole = packed(Compression("gzip", level), TEXT)
    assert packed(Compression("gzip", level), TEXT) == whole
    if level is None:
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert packed(Compression("gzip", level), TEXT, step=70_000) == whole
    finally:
        os.sched_setaffinity(0, before)


def test_blocks_cost_next_to_nothing() -> None:
    alone = zlib.compressobj(6, zlib.DEFLATED, 31)
    size = len(alone.compress(TEXT) + alone.flush())
    assert len(packed(Compression("gzip", 6), TEXT)) < size * 1.02


def test_a_packer_that_is_given_up_ends_its_threads() -> None:
    found = ParallelGzip(6)
    found.compress(TEXT)
    found.close()
    with pytest.raises(RuntimeError):
        found.compress(TEXT)
