"""Counting what a build context holds, and in which parts."""

from __future__ import annotations

from minidock.core.context_size import ContextSize, Part, parts_of, size_of
from minidock.core.entries import DIRECTORY, FILE, SYMLINK, Entry

ENTRIES = [
    Entry("a", FILE, size=5),
    Entry("d", DIRECTORY, 0o755),
    Entry("d/e", DIRECTORY, 0o755),
    Entry("d/e/f", FILE, size=7),
    Entry("d/g", FILE, size=1),
    Entry("empty", DIRECTORY, 0o755),
    Entry("link", SYMLINK, linkname="a"),
]


def test_files_are_everything_but_directories() -> None:
    assert size_of(ENTRIES) == ContextSize(4, 13)
    assert size_of([]) == ContextSize(0, 0)


def test_parts_are_told_apart_down_to_a_depth_and_add_up() -> None:
    assert parts_of(ENTRIES, 1) == (
        Part("d", 2, 8, is_directory=True),
        Part("a", 1, 5),
        Part("link", 1, 0),
        Part("empty", 0, 0, is_directory=True),
    )
    assert parts_of(ENTRIES, 2) == (
        Part("d/e", 1, 7, is_directory=True),
        Part("a", 1, 5),
        Part("d/g", 1, 1),
        Part("link", 1, 0),
    )
    for depth in (1, 2, 3):
        parts = parts_of(ENTRIES, depth)
        assert ContextSize(sum(part.files for part in parts), sum(part.size for part in parts)) == size_of(ENTRIES)
