from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.runtime.mountpoints import MountPoints, remove_unused


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    place.mkdir()
    return place


@pytest.fixture
def points(root: Path) -> Iterator[MountPoints]:
    fd = os.open(root, os.O_RDONLY)
    yield MountPoints(fd, fd)
    os.close(fd)


def place_of(fd: int, root: Path) -> str:
    path = os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)
    return os.path.relpath(path, root)


@pytest.mark.parametrize(
    ("links", "wanted", "found"),
    [
        ({}, "/srv/data", "srv/data"),
        ({"srv": "/elsewhere"}, "/srv/data", "elsewhere/data"),
        ({"srv": "../../../../outside"}, "/srv/data", "outside/data"),
        ({"srv": "a", "a": "b/c"}, "/srv/./x/../data", "b/c/data"),
        ({"file": "/run/missing/file"}, "/file", "run/missing/file"),
        ({}, "/../../x", "x"),
    ],
)
def test_targets_stay_inside_whatever_the_links_say(
    root: Path, points: MountPoints, links: dict[str, str], wanted: str, found: str
) -> None:
    for name, target in links.items():
        (root / name).symlink_to(target)
    assert place_of(points.find_or_make(wanted, is_directory=True), root) == found


def test_a_circle_of_links_is_an_error(root: Path, points: MountPoints) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        points.find_or_make("/a/x", is_directory=True)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc"), lambda path: path.touch()])
def test_a_built_in_place_must_be_a_directory(root: Path, points: MountPoints, make: object) -> None:
    assert callable(make)
    make(root / "dev")
    with pytest.raises(NotADirectoryError):
        points.built_in("dev")


def test_what_was_made_goes_and_the_times_come_back(root: Path, points: MountPoints) -> None:
    (root / "etc").mkdir()
    for path in (root / "etc", root):
        os.utime(path, ns=(1_000_000_001, 2_000_000_002))
    for path, is_directory in (("/etc/hosts", False), ("/srv/a/b", True), ("/proc", True)):
        os.close(points.find_or_make(path, is_directory=is_directory))
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        *("etc", "etc/hosts", "proc", "srv", "srv/a", "srv/a/b"),
    ]
    fd = os.open(root, os.O_RDONLY)
    remove_unused(fd, points.records)
    os.close(fd)
    assert [path.name for path in root.rglob("*")] == ["etc"]
    assert [path.stat().st_mtime_ns for path in (root, root / "etc")] == [2_000_000_002] * 2


def test_what_is_used_stays(root: Path, points: MountPoints) -> None:
    os.close(points.find_or_make("/srv/data", is_directory=True))
    os.close(points.find_or_make("/etc/file", is_directory=False))
    os.close(points.find_or_make("/opt/x", is_directory=True))
    (root / "srv/data/mine").touch()
    (root / "etc/file").write_text("mine")
    (root / "opt/x").rmdir()
    (root / "opt").rmdir()
    (root / "opt").symlink_to("etc")
    fd = os.open(root, os.O_RDONLY)
    remove_unused(fd, points.records)
    os.close(fd)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        *("etc", "etc/file", "opt", "srv", "srv/data", "srv/data/mine"),
    ]
