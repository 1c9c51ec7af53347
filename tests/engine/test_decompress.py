"""Compressed streams: every kind, in pieces, damaged, and made to fill memory or disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable

import pytest
import zstandard

from minidock.engine.decompress import decompressed
from minidock.errors import TarError

CONTENT = b"".join(b"%d " % number for number in range(200_000))
KINDS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def read_all(data: bytes, size: int = 1 << 20) -> bytes:
    plain, found = decompressed(io.BytesIO(data)), b""
    while chunk := plain.read(size):
        found += chunk
    return found


@pytest.mark.parametrize("size", [997, 1 << 20])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known_by_its_content(kind: str, size: int) -> None:
    assert read_all(KINDS[kind](CONTENT), size) == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_streams_one_after_the_other_are_one(kind: str) -> None:
    compress = KINDS[kind]
    assert read_all(compress(CONTENT) + compress(b"") + compress(b"more")) == CONTENT + b"more"


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"plain", "zstd"}))
def test_a_stream_that_was_cut_is_an_error_wherever(kind: str) -> None:
    packed = KINDS[kind](CONTENT)
    for end in (10, len(packed) // 2, len(packed) - 1):
        with pytest.raises(TarError, match="the compressed stream is damaged"):
            read_all(packed[:end])


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"plain", "zstd"}))
def test_a_stream_with_a_changed_byte_is_an_error(kind: str) -> None:
    packed = bytearray(KINDS[kind](CONTENT))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(TarError, match="the compressed stream is damaged"):
        read_all(bytes(packed))


def test_a_decoder_gets_no_more_memory_than_honest_streams_need() -> None:
    packed = bytearray(lzma.compress(b"x", preset=0))
    packed[16] = 34  # the size of the dictionary: 512 MiB
    packed[20:24] = zlib.crc32(packed[12:20]).to_bytes(4, "little")
    with pytest.raises(TarError, match="the compressed stream is damaged: Memory usage limit exceeded"):
        read_all(bytes(packed))
    assert read_all(lzma.compress(CONTENT, preset=9)) == CONTENT
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(TarError, match="the compressed stream is damaged"):
        read_all(wide.compress(b"x") + wide.flush())


@pytest.mark.parametrize("kind", ["zstd", "bzip2", "xz"])
def test_what_is_large_and_grows_out_of_all_proportion_is_refused(kind: str) -> None:
    compress = KINDS[kind]
    packed = compress(bytes(1 << 26)) * 100
    plain, size = decompressed(io.BytesIO(packed)), 0
    with pytest.raises(TarError, match="it is a bomb"):
        while chunk := plain.read(1 << 20):
            size += len(chunk)
    assert size <= 1 << 30


def test_zeros_are_honest_as_gzip_has_them() -> None:
    packed = gzip.compress(bytes(1 << 26)) * 17
    plain, size = decompressed(io.BytesIO(packed)), 0
    while chunk := plain.read(1 << 20):
        size += len(chunk)
    assert size == 17 << 26
