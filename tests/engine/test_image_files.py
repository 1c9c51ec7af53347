"""The few files of an image that a start needs are found without its merged tree, and are what that tree has."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from minidock.engine.image_files import ImageFiles
from minidock.errors import RuntimeProblem
from tests.engine.building import directory, link, member, root_tar, workspace

Members = Sequence[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]

ROOT = "root:x:0:0::/root:/bin/sh\n"
OTHER = "other:x:7:8::/:/bin/sh\n"


def text(path: str, content: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(path), content.encode()


BASE: Members = [directory("etc"), text("etc/passwd", ROOT), text("etc/group", "root:x:0:\n")]
OPAQUE = text("etc/.wh..wh..opq", "")
HARDLINK = member("etc/passwd", tarfile.LNKTYPE, linkname="usr/passwd")

# name of the case: layers, base first; what passwd is; whether the heads of the indexes suffice
CASES: dict[str, tuple[list[Members], str | None, bool]] = {
    "one layer": ([BASE], ROOT, True),
    "no such file": ([[directory("bin")]], None, True),
    "replaced": ([BASE, [text("etc/passwd", OTHER)]], OTHER, True),
    "untouched": ([BASE, [directory("etc"), text("etc/hosts", "")]], ROOT, True),
    "removed": ([BASE, [text("etc/.wh.passwd", "")]], None, True),
    "its directory removed": ([BASE, [text(".wh.etc", "")]], None, True),
    "its directory emptied": ([BASE, [directory("etc"), OPAQUE, text("etc/group", "")]], None, True),
    "its directory a file": ([BASE, [text("etc", "")]], None, True),
    "removed and made again": ([BASE, [text(".wh.etc", "")], [text("etc/passwd", OTHER)]], OTHER, True),
    "a link": ([BASE, [directory("usr"), text("usr/p", OTHER), link("etc/passwd", "../usr/p")]], OTHER, False),
    "behind a link": ([[directory("usr"), text("usr/passwd", OTHER), link("etc", "usr")]], OTHER, False),
    "a hard link": ([[directory("etc"), directory("usr"), text("usr/passwd", OTHER), HARDLINK]], OTHER, False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_accounts_are_those_of_the_merged_tree(tmp_path: Path, case: tuple[list[Members], str | None, bool]) -> None:
    layers, passwd, suffices = case
    ws = workspace(tmp_path / "store")
    with ws.store.session() as session:
        made = [ws.store.layers.ingest(session, io.BytesIO(root_tar(members))) for members in layers]
    diff_ids = [layer.diff_id for layer in made]
    files = ImageFiles(ws, diff_ids)
    whole = ImageFiles(ws, diff_ids, ws.store.layers.tree(diff_ids))
    assert files.accounts[0] == passwd
    assert (files.accounts, files.root) == (whole.accounts, whole.root)
    assert ("tree" not in vars(files)) == suffices


def test_an_index_that_is_lost_is_read_from_the_tar(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "store")
    with ws.store.session() as session:
        layer = ws.store.layers.ingest(session, io.BytesIO(root_tar(BASE)))
    (path,) = (tmp_path / "store" / "layers").iterdir()
    path.unlink()
    assert ImageFiles(ws, [layer.diff_id]).accounts == (ROOT, "root:x:0:\n")


@pytest.mark.parametrize(("size", "is_read"), [(10 << 20, True), ((10 << 20) + 1, False)])
def test_a_huge_file_of_accounts_is_not_read(tmp_path: Path, size: int, is_read: bool) -> None:
    ws = workspace(tmp_path / "store")
    huge = ROOT.ljust(size, "\n")
    with ws.store.session() as session:
        layer = ws.store.layers.ingest(session, io.BytesIO(root_tar([directory("etc"), text("etc/passwd", huge)])))
    files = ImageFiles(ws, [layer.diff_id])
    if is_read:
        assert files.user("root").uid == 0
    else:
        with pytest.raises(RuntimeProblem, match="/etc/passwd of the image is larger than 10 MiB"):
            files.user("root")
