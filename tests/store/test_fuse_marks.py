"""What fuse-overlayfs leaves where devices cannot be made: names that mean deletions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from minidock.core.entries import DIRECTORY, FILE, WHITEOUT, Entry, Tree
from minidock.core.id_mode import IdMode
from minidock.store.scan import Owners, scan_upper
from minidock.store.unpack import Unpacker
from minidock.store.writer import Disk

LOWER = Tree.fold(
    [[Entry("", DIRECTORY, 0o755), Entry("file", FILE), Entry("dir", DIRECTORY, 0o755), Entry("dir/old", FILE)]]
)


class NoDevices(Disk):
    """A file system on which no device can be made: an overlay."""

    def mknod(self, path: str, mode: int, device: int = 0) -> None:
        raise PermissionError(path)


def id_mode() -> IdMode:
    return IdMode.ROOT if os.geteuid() == 0 else IdMode.SINGLE


def found(upper: Path) -> list[tuple[str, str]]:
    found = scan_upper(Disk(), str(upper), Owners(id_mode(), LOWER))
    return [(item.entry.path, item.entry.kind) for item in found]


def test_marked_names_are_deletions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / ".wh.file").touch()
    (tmp_path / ".wh.never-there").touch()
    assert found(tmp_path) == [("", DIRECTORY), ("file", WHITEOUT)]


def test_a_replaced_directory_hides_what_was_in_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir(mode=0o755)
    (tmp_path / "dir/.wh..wh..opq").touch()
    os.setxattr(tmp_path / "dir", "user.fuseoverlayfs.opaque", b"y")
    assert found(tmp_path) == [("", DIRECTORY), ("dir", DIRECTORY), ("dir/old", WHITEOUT)]


def test_deletions_are_unpacked_as_such_names_where_devices_cannot_be_made(tmp_path: Path) -> None:
    layer: list[Any] = [Entry("", DIRECTORY, 0o755), Entry("dir", DIRECTORY, 0o755), Entry("dir/old", WHITEOUT)]
    Unpacker(NoDevices(), str(tmp_path), id_mode()).layer(layer, -1)
    assert os.listdir(tmp_path / "dir") == [".wh.old"]
