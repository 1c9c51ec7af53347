"""Layers made to leave their directory while they are unpacked: none may, whatever the reader made of them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from minidock.errors import StoreError, TarError
from tests.engine.building import open_store
from tests.store.tar_blocks import block, file, pax

SECRET = b"a secret of the host"


def unpacked(tmp_path: Path, data: bytes) -> Path:
    """Store a layer, unpack it as for a container, and return where it is."""
    store = open_store(tmp_path / "store")
    with store.session() as session:
        layer = store.layers.ingest(session, io.BytesIO(data))
        return Path(store.snapshots.stack(session, [layer.diff_id])[0])


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the host, which must stay as it is."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_bytes(SECRET)
    return place


def link(name: bytes, target: bytes) -> bytes:
    return pax(path=name, linkpath=target) + block(b"l", b"2")


def hard(name: bytes, target: bytes) -> bytes:
    return pax(path=name, linkpath=target) + block(b"h", b"1")


def directory(name: bytes) -> bytes:
    """Return a directory that its owner can enter."""
    return block(name, b"5", mode=b"0000755\0")


ROOT_LINK = link(b"a", b"/")
ATTACKS = {
    "a file below a link": lambda to: link(b"l", to) + file(b"l/new", b"x"),
    "a file below a link that comes later": lambda to: file(b"l/new", b"x") + link(b"l", to),
    "a file below a link that is reached by a link": lambda to: ROOT_LINK + link(b"a/b", to) + file(b"a/b/new", b"x"),
    "three links deep": lambda to: ROOT_LINK + link(b"a/b", b".") + link(b"a/b/c", to) + file(b"a/b/c/new", b"x"),
    "a link above that goes up": lambda to: link(b"d", b"..") + link(b"d/e", to) + file(b"e/new", b"x"),
    "a directory below a link": lambda to: link(b"l", to) + directory(b"l/new/"),
    "a directory over a link": lambda to: link(b"l", to) + directory(b"l/") + file(b"l/new", b"x"),
    "a link over a directory": lambda to: block(b"l/", b"5") + link(b"l", to) + file(b"l/new", b"x"),
    "a hard link to a file behind a link": lambda to: link(b"l", to) + hard(b"h", b"l/secret"),
    "a hard link to a file behind two links": lambda to: link(b"a", b"/") + link(b"a/b", to) + hard(b"h", b"b/secret"),
    "a hard link below a link": lambda to: file(b"f", b"x") + link(b"l", to) + hard(b"l/new", b"f"),
    "a hard link to a link, written through": lambda to: link(b"l", to + b"/secret") + hard(b"h", b"l") + file(b"h"),
    "a hard link to the host's name": lambda to: hard(b"h", to + b"/secret"),
    "a hard link to itself": lambda to: hard(b"h", b"h"),
    "two hard links to each other": lambda to: hard(b"h", b"i") + hard(b"i", b"h"),
    "a deletion below a link": lambda to: link(b"l", to) + file(b"l/.wh.secret"),
    "an opaque mark below a link": lambda to: link(b"l", to) + file(b"l/.wh..wh..opq"),
    "a device below a link": lambda to: link(b"l", to) + block(b"l/new", b"6"),
    "attributes on a link": lambda to: pax(path=b"l", linkpath=to, SCHILY__xattr__user__x=b"y") + block(b"l", b"2"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_leaves_the_directory(tmp_path: Path, outside: Path, attack: str) -> None:
    before = [(path.name, path.read_bytes(), path.lstat()) for path in outside.iterdir()]
    status = outside.lstat()
    try:
        root = unpacked(tmp_path, ATTACKS[attack](os.fsencode(outside)))
    except (TarError, StoreError) as error:
        assert "\n" not in str(error)
    else:
        inodes = {path.lstat().st_ino for path in root.rglob("*") if path.lstat().st_nlink > 1}
        assert (outside / "secret").lstat().st_ino not in inodes
    assert [(path.name, path.read_bytes(), path.lstat()) for path in outside.iterdir()] == before
    assert outside.lstat() == status


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (link(b"l", b"d") + file(b"l/f", b"1") + file(b"d/f", b"22"), {"l": b"->d", "d": b"/", "d/f": b"22"}),
        (link(b"l", b"/d") + file(b"f", b"1") + hard(b"l/h", b"f"), {"l": b"->/d", "d": b"/", "d/h": b"1", "f": b"1"}),
        (directory(b"d/") + link(b"l", b"d") + file(b"d/f", b"1") + hard(b"h", b"l/f"),
         {"l": b"->d", "d": b"/", "d/f": b"1", "h": b"1"}),
        (file(b"a", b"1") + hard(b"c", b"b") + hard(b"b", b"a"), {"a": b"1", "b": b"1", "c": b"1"}),
        (file(b"b", b"1") + hard(b"a", b"b"), {"a": b"1", "b": b"1"}),
        (link(b"l", b"/nowhere") + hard(b"h", b"l"), {"l": b"->/nowhere", "h": b"->/nowhere"}),
    ],
)  # fmt: skip
def test_links_inside_lead_where_they_say(tmp_path: Path, data: bytes, expected: dict[str, bytes]) -> None:
    root = unpacked(tmp_path, data)
    found = {}
    for path in root.rglob("*"):
        content = (
            b"->" + os.fsencode(os.readlink(path))
            if path.is_symlink()
            else b"/"
            if path.is_dir()
            else path.read_bytes()
        )
        found[str(path.relative_to(root))] = content
    assert found == expected


@pytest.mark.parametrize(
    "data",
    [
        file(b".wh.d") + block(b"d/", b"5") + file(b"d/f", b"1"),
        file(b".wh.d") + file(b"d/f", b"1"),
        file(b"d/f", b"1") + file(b".wh.d"),
    ],
)
def test_what_is_deleted_and_made_anew_hides_all_that_was_there(tmp_path: Path, data: bytes) -> None:
    store = open_store(tmp_path / "store")
    with store.session() as session:
        below = store.layers.ingest(session, io.BytesIO(file(b"d/old") + file(b"e")))
        above = store.layers.ingest(session, io.BytesIO(data))
        diff_ids = [below.diff_id, above.diff_id]
        assert [entry.path for entry in store.layers.tree(diff_ids).entries()] == ["", "d", "d/f", "e"]
        assert len(store.snapshots.stack(session, diff_ids)) == 2


def test_a_file_below_a_link_of_a_lower_layer_turns_it_into_a_directory(tmp_path: Path, outside: Path) -> None:
    store = open_store(tmp_path / "store")
    with store.session() as session:
        layers = (link(b"l", os.fsencode(outside)), file(b"l/secret", b"mine"), file(b"l/new", b"x"))
        diff_ids = [store.layers.ingest(session, io.BytesIO(data)).diff_id for data in layers]
        assert len(store.snapshots.stack(session, diff_ids)) == 3
        store.snapshots.copy_of(diff_ids, str(tmp_path / "copy"))
    assert (tmp_path / "copy/l/secret").read_bytes() == b"mine"
    assert sorted(path.name for path in (tmp_path / "copy/l").iterdir()) == ["new", "secret"]
    assert [path.read_bytes() for path in outside.iterdir()] == [SECRET]
