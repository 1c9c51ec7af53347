"""Removing trees, and the errors of the system in words for users."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from pathlib import Path

import pytest

from minidock.errors import StorageFull, StoreUnwritable
from minidock.store.writer import Disk, explained, remove_tree


def du(path: Path) -> int:
    return int(subprocess.run(["du", "-s", "-B1", path], check=True, capture_output=True, text=True).stdout.split()[0])


def test_a_removal_gives_back_what_du_saw(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_bytes(bytes(10_000))
    os.link(tree / "a" / "file", tree / "a" / "b" / "again")
    (tree / "link").symlink_to("/etc/passwd")
    os.mkfifo(tree / "fifo")
    seen = du(tree)
    assert remove_tree(Disk(), str(tree)) == seen
    assert os.listdir(tmp_path) == []


def test_a_file_that_has_another_name_elsewhere_gives_nothing_back(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(bytes(10_000))
    os.link(tmp_path / "kept", tmp_path / "gone")
    assert remove_tree(Disk(), str(tmp_path / "gone")) == 0
    assert (tmp_path / "kept").read_bytes() == bytes(10_000)


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o200, 0o400, 0o555])
def test_modes_of_folders_do_not_stop_a_removal(tmp_path: Path, mode: int) -> None:
    tree = tmp_path / "tree"
    inner = tree / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(b"x")
    for directory in (inner, inner.parent, tree):
        directory.chmod(mode)
    assert remove_tree(Disk(), str(tree)) > 0
    assert os.listdir(tmp_path) == []


def test_folders_deeper_than_a_path_can_say(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("folder", dir_fd=here)
        deeper = os.open("folder", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    remove_tree(Disk(), str(tree))
    assert os.listdir(tmp_path) == []


def test_a_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    remove_tree(Disk(), str(tmp_path / "tree"))
    assert (tmp_path / "outside" / "file").read_bytes() == b"x"


def test_what_is_gone_already_is_no_error(tmp_path: Path) -> None:
    assert remove_tree(Disk(), str(tmp_path / "nosuch")) == 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "full"), StorageFull),
        (OSError(errno.EDQUOT, "quota"), StorageFull),
        (PermissionError(errno.EACCES, "no", "/store/blobs/x"), StoreUnwritable),
        (OSError(errno.EROFS, "read-only"), StoreUnwritable),
        (PermissionError(errno.EACCES, "no", "/home/context/secret"), PermissionError),
        (OSError(errno.EIO, "broken"), OSError),
    ],
)
def test_the_system_s_errors_about_the_store_are_explained(error: OSError, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, explained("/store"):
        raise error
    assert type(caught.value) is expected


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        Disk().open_new(str(tmp_path / "file"))
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        Disk().open_new(str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere").exists()


def test_ranges_are_copied_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(range(256)) * 1000)
    source = os.open(tmp_path / "source", os.O_RDONLY)
    target = Disk().open_new(str(tmp_path / "target"))
    Disk().copy_range(source, target, 100_000, 123)
    with pytest.raises(OSError, match="file ends early"):
        Disk().copy_range(source, target, 10, 256_000)
    os.close(source)
    os.close(target)
    assert (tmp_path / "target").read_bytes() == (bytes(range(256)) * 1000)[123:100_123]


def test_blocks_are_had_ready_where_the_c_library_is_musl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    glibc = ctypes.CDLL(None, use_errno=True)

    class Musl:
        """It has no function for 64 bits beside the plain one, which on this machine has as many."""

        def __init__(self, *_: object, **__: object) -> None:
            self.fallocate = glibc.fallocate

    monkeypatch.setattr(ctypes, "CDLL", Musl)
    fd = Disk().open_new(str(tmp_path / "file"))
    Disk().allocate(fd, 0, 1 << 20)
    found = os.fstat(fd)
    os.close(fd)
    assert (found.st_size, found.st_blocks * 512) == (0, 1 << 20)
