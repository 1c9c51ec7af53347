"""Files with holes: every way that GNU tar has written them, read as GNU tar reads them, and made to fill the disk."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from minidock.errors import SparseTar, TarError
from minidock.store.members import read_entries
from minidock.store.tar_filled import Filled
from minidock.store.tar_reader import Reader
from tests.store.tar_blocks import block, file, octal, padded, pax

FORMATS = {
    "gnu": ["--format=gnu"],
    "0.0": ["--format=pax", "--sparse-version=0.0"],
    "0.1": ["--format=pax", "--sparse-version=0.1"],
    "1.0": ["--format=pax", "--sparse-version=1.0"],
}
LAYOUTS: dict[str, list[tuple[int, bytes]]] = {
    "nothing but a hole": [],
    "a hole at the start": [(1 << 20, b"end")],
    "a hole at the end": [(0, b"start")],
    "many": [(number * 65536, b"part %d" % number) for number in range(1, 60, 2)],
    "whole blocks": [(number * 8192, bytes([number + 1]) * 4096) for number in range(5)],
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files with holes, and others around them."""
    root = tmp_path / "tree"
    (root / ("long" * 30)).mkdir(parents=True)
    (root / "a").write_bytes(b"before")
    for name, parts in LAYOUTS.items():
        with open(root / ("long" * 30) / name, "wb") as out:
            for start, data in parts:
                out.seek(start)
                out.write(data)
            out.truncate(4 << 20)
    (root / "z").write_bytes(b"after")
    return root


def contents(stream: io.BufferedIOBase) -> dict[str, bytes]:
    """Return what the standard library finds in a tar."""
    with tarfile.open(fileobj=stream, mode="r|") as found:
        return {item.name.removeprefix("./"): found.extractfile(item).read() for item in found if item.isreg()}  # type: ignore[union-attr]


def whole(source: Filled, size: int = 77_777) -> bytes:
    data = bytearray()
    while chunk := source.read(size):
        data += chunk
    return bytes(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_gnu_tar_writes_with_holes_is_the_same_without(tree: Path, kind: str) -> None:
    command = ["tar", "-C", str(tree), "--sparse", "--sort=name", *FORMATS[kind], "-c", "."]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(packed) < 2 << 20
    with pytest.raises(SparseTar):
        read_entries(io.BytesIO(packed))
    filled = whole(Filled(io.BytesIO(packed)))
    expected = {os.path.relpath(path, tree): path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}
    assert contents(io.BytesIO(filled)) == expected
    for entry in read_entries(io.BytesIO(filled)):
        if entry.kind == "file":
            assert filled[entry.offset : entry.offset + entry.size] == expected[entry.path]
            assert entry.mtime == int((tree / entry.path).stat().st_mtime)


def test_a_tar_without_holes_stays_as_it_is() -> None:
    data = pax(path=b"p" * 200) + file(b"a", b"x" * 700) + block(b"l", b"2", link=b"a") + bytes(1024) + b"rest" * 300
    assert whole(Filled(io.BytesIO(data[:600]), io.BytesIO(data[600:])), 100) == data


def old(parts: list[tuple[int, int]], size: int, *, stored: int | None = None) -> bytes:
    """Return a file of old GNU tar with at most four parts."""
    length = sum(part[1] for part in parts) if stored is None else stored
    made = bytearray(block(b"f", b"S", octal(length), magic=b"ustar  \0"))
    for number, part in enumerate(parts):
        made[386 + 24 * number : 410 + 24 * number] = octal(part[0]) + octal(part[1])
    made[483:495] = octal(size)
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made) + padded(b"x" * length)


def new(text: bytes, size: int, stored: int, real: bytes = b"") -> bytes:
    """Return a file of version 1.0 whose map is ``text``."""
    head = pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0", GNU__sparse__realsize=real or b"%d" % size)
    return head + file(b"f", padded(text) + b"x" * stored)


@pytest.mark.parametrize(
    "make",
    [
        lambda: old([(0, 1), (2, 1)], 2),
        lambda: old([(5, 1), (2, 1)], 9),
        lambda: old([(0, 5), (2, 1)], 9),
        lambda: old([(0, 1)], 9, stored=2),
        lambda: old([(0, 1)], 9, stored=0),
        lambda: old([(0, 1)], (1 << 30) + 2) + old([(1, 1)], 1 << 40),
        lambda: new(b"1\n0\n1\n", 1 << 50, 1),
        lambda: new(b"1\n0\n-1\n", 9, 1),
        lambda: new(b"1\n0\n" + b"9" * 20 + b"\n", 9, 1),
        lambda: new(b"99999999\n", 9, 1),
        lambda: new(b"1" * 2000, 9, 1),
        lambda: new(b"2\n0\n1\n0\n1\n", 9, 2),
        lambda: new(b"1\n0\n1\n", 9, 1, b"many"),
        lambda: new(b"", 9, 0),
        lambda: pax(GNU__sparse__size=b"9", GNU__sparse__map=b"0,1,2") + file(b"f", b"x"),
        lambda: pax(GNU__sparse__size=b"9", GNU__sparse__map=b"0,x") + file(b"f", b"x"),
        lambda: pax(GNU__sparse__map=b"0,1") + file(b"f", b"x"),
        lambda: pax(GNU__sparse__size=b"9", GNU__sparse__map=b",".join([b"0"] * 140_000)) + file(b"f"),
    ],
)
def test_a_map_that_cannot_be_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(TarError) as caught:
        whole(Filled(io.BytesIO(make() + file(b"g"))))
    assert not isinstance(caught.value, SparseTar)


def test_holes_do_not_fill_the_disk() -> None:
    data = old([(0, 1)], 1 << 29) * 3
    with pytest.raises(TarError, match="holes of more than 1073741824 bytes"):
        for entry in Reader(io.BytesIO(data)):
            assert entry.size == 1 << 29


def test_holes_are_read_in_pieces_of_any_size() -> None:
    data = old([(3, 2), (7, 1)], 10)
    for size in range(1, 12):
        reader = Reader(io.BytesIO(data))
        (entry,) = (entry for entry in [next(iter(reader))])
        found = b""
        while piece := reader.read(size):
            assert len(piece) <= size
            found += piece
        assert (entry.size, found) == (10, b"\0\0\0xx\0\0x\0\0")
