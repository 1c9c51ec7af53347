"""Tars that GNU tar writes, in each of its formats: the tree of the import is what GNU tar itself unpacks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidock.engine.importer import import_tar
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import workspace
from tests.interop.programs import program
from tests.interop.trees import told_by_disk, told_by_store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have files of every owner")
TIME = 1_600_000_000


def make_tree(place: Path, kind: str) -> None:
    """Make files of all kinds that a format knows below ``place``."""
    place.mkdir(exist_ok=True)
    names = ["a", "sub/b c", "sub/grüße", "sub/deep/" + "n" * (80 if kind == "v7" else 90)]
    names += ["long/" * 30 + "x" * 200] if kind in ("gnu", "oldgnu", "pax") else []
    for number, name in enumerate(names):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(bytes([number]) * 700 * number)
        os.chown(place / name, 1000 + number, 2000 + number)
        (place / name).chmod(0o4750 - number)
    os.link(place / "a", place / "sub/again")
    (place / "door").symlink_to("/sub/../a")
    if kind != "v7":
        os.mkfifo(place / "pipe", 0o620)
        os.mknod(place / "null", 0o20666, os.makedev(1, 3))
    with open(place / "holes", "wb") as out:
        out.seek(1 << 20)
        out.write(b"end")
    (place / "shut").mkdir(0o1700)
    for path in sorted(place.rglob("*"), reverse=True):
        os.utime(path, (TIME, TIME), follow_symlinks=False)


@pytest.mark.parametrize(
    "words", [["ustar"], ["v7"], ["gnu"], ["pax"], ["oldgnu", "--sparse"], ["pax", "--sparse", "--sparse-version=0.1"]]
)
def test_an_import_is_what_gnu_tar_unpacks(tmp_path: Path, words: list[str]) -> None:
    tar, (kind, *more) = program("tar"), words
    (tmp_path / "tree").mkdir()
    make_tree(tmp_path / "tree", kind)
    tar(f"--format={kind}", *more, "-cf", tmp_path / "t.tar", "-C", tmp_path / "tree", ".")
    (tmp_path / "unpacked").mkdir()
    tar("-xpf", tmp_path / "t.tar", "--numeric-owner", "-C", tmp_path / "unpacked")
    ws = workspace(tmp_path / "store", FakeRuntime({}))
    with open(tmp_path / "t.tar", "rb") as stream:
        image_id = import_tar(ws, stream, None, message="")
    assert told_by_store(ws, image_id) == told_by_disk(tmp_path / "unpacked")
