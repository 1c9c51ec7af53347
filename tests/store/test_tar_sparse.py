"""Files with holes: every way that GNU tar has written them, read as GNU tar reads them, and made to fill the disk."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from minidock.core.entries import Entry
from minidock.errors import TarError
from minidock.store.content import Stretch, stretch_of
from minidock.store.members import read_entries
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


def read_whole(fd: int, entry: Entry) -> bytes:
    return b"".join(chunk for chunk, _ in stretch_of(fd, entry).chunks())


@pytest.mark.parametrize("kind", FORMATS)
def test_what_gnu_tar_writes_with_holes_is_read_as_it_was(tree: Path, tmp_path: Path, kind: str) -> None:
    packed = tmp_path / "packed.tar"
    subprocess.run(["tar", "-C", tree, "--sparse", "--sort=name", *FORMATS[kind], "-cf", packed, "."], check=True)
    assert packed.stat().st_size < 2 << 20
    expected = {os.path.relpath(path, tree): path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}
    with open(packed, "rb") as stream:
        files = {entry.path: entry for entry in read_entries(stream) if entry.kind == "file"}
        assert {path: read_whole(stream.fileno(), entry) for path, entry in files.items()} == expected
        for path, entry in files.items():
            status = (tree / path).stat()
            assert (entry.size, entry.mtime) == (status.st_size, int(status.st_mtime))
            assert entry.sha256 == sha256(expected[path]).hexdigest()
            assert bool(entry.parts) == (path not in ("a", "z"))


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
        read_entries(io.BytesIO(make() + file(b"g")))
    assert "\n" not in str(caught.value)


def test_holes_are_no_bomb() -> None:
    huge = old([(0, 1)], 1 << 29) * 3
    with pytest.raises(TarError, match="f: holes of 1610612733 bytes in the files of a tar: it is a bomb"):
        for entry in Reader(io.BytesIO(huge)):
            assert entry.size == 1 << 29
    # In proportion to what is in the tar they are what honest tars have.
    (*_, last) = Reader(io.BytesIO(file(b"a", bytes(1 << 20)) + huge))
    assert last.size == 1 << 29


def test_there_must_be_room_for_holes() -> None:
    data = old([(0, 1)], 1000) + old([(0, 1)], 1000)
    assert [entry.size for entry in Reader(io.BytesIO(data), room=1998)] == [1000, 1000]
    with pytest.raises(TarError, match="f: holes of 1998 bytes, and the disk has no room for them"):
        list(Reader(io.BytesIO(data), room=1997))


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


@pytest.mark.parametrize("parts", [((3, 2), (7, 1), (10, 0)), ((0, 4), (4, 1), (10, 0)), ((5, 5), (10, 0)), ((10, 0),)])
def test_any_stretch_of_a_file_with_holes_can_be_read(tmp_path: Path, parts: tuple[tuple[int, int], ...]) -> None:
    whole, stored = bytearray(10), b""
    for number, (start, length) in enumerate(parts):
        whole[start : start + length] = bytes([65 + number]) * length
        stored += bytes([65 + number]) * length
    (tmp_path / "stored").write_bytes(b"???" + stored + b"???")
    with open(tmp_path / "stored", "rb") as file:
        content = Stretch(file.fileno(), 3, 10, parts)
        for start in range(12):
            for size in range(12):
                assert content.read(start, size) == whole[start : start + size]
        assert b"".join(chunk for chunk, _ in content.chunks()) == whole
        assert b"".join(chunk for chunk, is_hole in content.chunks() if not is_hole) == stored
