"""Thousands of damaged layers: each is stored, unpacked both ways and exported, or refused by an error of our own."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest

from minidock.errors import MinidockError
from minidock.store.members import read_entries
from minidock.store.store import Store
from minidock.store.tar import header
from tests.engine.building import open_store
from tests.store.tar_blocks import block, file, octal, pax, record

LONG = b"n" * 60 + b"/" + b"m" * 120
XATTR = {"SCHILY.xattr.user.x": b"y"}
SEEDS = (
    block(b"./", b"5") + file(b"a", b"content") + block(b"d/", b"5") + file(b"d/f", b"x" * 700),
    block(b"d/", b"5") + block(b"l", b"2", link=b"d") + file(b"l/f", b"1") + block(b"m", b"2", link=b"l/f"),
    file(b"t", b"1") + block(b"h", b"1", link=b"t") + block(b"d/e/", b"5") + block(b"d/e/l", b"2", link=b"../../t"),
    pax(path=b"p/q", uid=b"70000", mtime=b"5.5", **XATTR) + file(b"x", b"z"),
    block(b"c", b"3", minor=b"0000007\0") + block(b"b", b"4", major=b"0000007\0") + block(b"f", b"6"),
    record(b"L", LONG + b"\0") + file(b"s", b"long") + record(b"K", b"e\0") + block(b"k", b"2"),
    file(b".wh.a") + block(b"o/", b"5") + file(b"o/.wh..wh..opq") + file(b"o/n", b"1"),
    file(b"n", b"1", uid=b"\x80\0\0\0\0\1\0\0", mtime=b"\x80" + b"\0" * 6 + b"\1" * 5),
    pax(size=b"3") + file(b"z", b"123"),
)
BYTES = bytes(range(0x30, 0x3A)) + b"\0\0/..L\x80\xff\x7f lx25"


def mutated(chance: random.Random) -> bytes:
    """Return one of the seeds with some bytes of headers changed, checksums right; or blocks moved, doubled, cut."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(data) // 512) * 512
        match chance.randrange(8):
            case 0:
                other = chance.choice(SEEDS)
                place = chance.randrange(len(other) // 512) * 512
                data[start:start] = other[place : place + 512 * chance.randint(1, 3)]
            case 1:
                del data[start : start + 512]
            case 2:
                data[start + 124 : start + 136] = octal(chance.choice((0, 1, 511, 512, 513, 1 << 20, 1 << 32)))
            case _:
                first = chance.choice((0, 0, 100, 108, 116, 124, 136, 156, 157, 257, 329, 337, 345))
                for place in range(first, first + chance.randint(1, 6)):
                    data[start + place] = chance.choice(BYTES)
        if len(data) < 512:
            return bytes(data)
        if start + 512 <= len(data):
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)


def use(store: Store, data: bytes, place: Path) -> bool:
    """Do with a layer what a container would need; tell whether it was accepted."""
    try:
        with store.session() as session:
            below = store.layers.ingest(session, io.BytesIO(file(b"a", b"below") + file(b"d/b", b"below"))).diff_id
            diff_ids = [below, store.layers.ingest(session, io.BytesIO(data)).diff_id]
            for entry in store.layers.tree(diff_ids).entries():
                header(entry)
            store.snapshots.stack(session, diff_ids)
            store.snapshots.copy_of(diff_ids, str(place))
    except MinidockError as error:
        assert "\n" not in str(error)
        return False
    return True


def test_a_damaged_layer_is_used_or_refused_and_nothing_else_happens(tmp_path: Path) -> None:
    chance = random.Random(7)
    store = open_store(tmp_path / "store")
    (tmp_path / "outside").write_text("mine")
    accepted = sum(use(store, mutated(chance), tmp_path / f"copy{number}") for number in range(400))
    assert 40 < accepted < 360
    assert (tmp_path / "outside").read_text() == "mine"


def test_no_damage_makes_the_reader_fail_otherwise() -> None:
    chance = random.Random(8)
    accepted = 0
    for _ in range(8000):
        try:
            read_entries(io.BytesIO(mutated(chance)))
            accepted += 1
        except MinidockError as error:
            assert "\n" not in str(error)
    assert 800 < accepted < 7200


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_the_standard_library_writes_is_read_alike(kind: int) -> None:
    chance = random.Random(9)
    packed, expected = io.BytesIO(), {}
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        for number in range(300):
            name = "/".join("x" * chance.randint(1, 40) for _ in range(chance.randint(1, 4))) + str(number)
            info = tarfile.TarInfo(name)
            content = chance.randbytes(chance.randrange(2000))
            info.size, info.mode, info.mtime = len(content), chance.randrange(0o10000), chance.randrange(1 << 33)
            info.uid, info.gid = chance.randrange(1 << 21), chance.randrange(1 << 21)
            archive.addfile(info, io.BytesIO(content))
            expected[name] = (info.size, info.mode, info.mtime, info.uid, info.gid)
    found = {
        entry.path: (entry.size, entry.mode, entry.mtime, entry.uid, entry.gid)
        for entry in read_entries(io.BytesIO(packed.getvalue()))
    }
    assert found == expected
