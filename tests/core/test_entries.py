"""Merged trees: layers put on top of each other all at once, one by one, and by the simplest rules."""

from __future__ import annotations

from random import Random

import pytest

from minidock.core.entries import DIRECTORY, FILE, HARDLINK, OPAQUE, WHITEOUT, Entry, Tree, ancestors
from tests.core.test_stored_files import folder, gone, hard, random_layers, stored


def simply(layers: list[list[Entry]]) -> dict[str, str]:
    """Return path and kind of everything in the merged tree, by looking at every path for every entry."""
    found = {"": DIRECTORY}
    for layer in layers:
        for entry in layer:
            replaces = entry.kind not in (DIRECTORY, OPAQUE) and found.get(entry.path) == DIRECTORY
            for path in list(found):
                is_below = entry.path in ancestors(path)
                if (is_below and (replaces or entry.is_deletion)) or (path == entry.path and entry.kind == WHITEOUT):
                    del found[path]
        for entry in layer:
            if not entry.is_deletion:
                for path in ancestors(entry.path):
                    found[path] = DIRECTORY
                found[entry.path] = found[entry.linkname] if entry.kind == HARDLINK else entry.kind
    return found


@pytest.mark.parametrize("seed", range(20))
def test_any_layers_merge_by_the_simplest_rules(seed: int) -> None:
    random = Random(seed)
    for _ in range(50):
        layers = random_layers(random)
        tree = Tree.fold(layers)
        assert {entry.path: entry.kind for entry in tree.entries()} == simply(layers), layers
        one_by_one = Tree()
        for layer in layers:
            before = one_by_one.entries()
            after = one_by_one.with_layer(layer)
            assert one_by_one.entries() == before
            one_by_one = after
        assert one_by_one.entries() == tree.entries()


def test_hard_links_are_files_that_name_the_first() -> None:
    tree = Tree.fold([[stored("a", "abc"), hard("b", "a")], [gone("a"), folder("d")]])
    assert tree.entries() == [
        Entry("", DIRECTORY, 0o755),
        stored("a", "abc")._replace(path="b", linkname="a"),
        folder("d"),
    ]
    assert tree.entries()[1].kind == FILE


def test_directories_go_from_many_layers_in_no_time() -> None:
    base = [folder(f"d{number}") for number in range(500)]
    base += [stored(f"d{number // 100}/f{number}", "x") for number in range(50_000)]
    layers = [base, *([gone(f"d{number}"), folder("last")] for number in range(500))]
    # Looking through the whole tree for every layer took a minute.
    assert [entry.path for entry in Tree.fold(layers).entries()] == ["", "last"]
