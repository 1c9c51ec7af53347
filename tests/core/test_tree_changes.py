"""What differs between two merged trees, and what a tree takes."""

from __future__ import annotations

from minidock.core.entries import SYMLINK, Entry, Tree
from minidock.core.tree_changes import TreeDiff, tree_diff, tree_size
from tests.core.test_stored_files import folder, gone, hard, stored

BASE = [
    folder("d"),
    stored("d/content", "abc"),
    stored("d/mode", "xy"),
    stored("d/gone", "gone"),
    stored("d/same", "s"),
    Entry("link", SYMLINK, 0o777, linkname="d"),
]


def shown(diff: TreeDiff) -> list[str]:
    return [
        f"{change.kind} {change.path} {change.growth:+} {', '.join(item.text for item in change.differences)}".strip()
        for change in diff.changes
    ]


def test_every_kind_of_change() -> None:
    before = Tree.fold([BASE])
    after = before.with_layer(
        [
            folder("d")._replace(mtime=5),
            stored("d/content", "abcdef", 0o755)._replace(uid=3),
            stored("d/mode", "xy", 0o600),
            gone("d/gone"),
            stored("d/new", "1234567"),
            stored("d/same", "s")._replace(mtime=7),
            Entry("link", SYMLINK, 0o777, linkname="e"),
            folder("e"),
        ]
    )
    diff = tree_diff(before, after)
    assert shown(diff) == [
        "changed d/content +3 content, mode 644→755, owner 0:0→3:0",
        "removed d/gone -4",
        "changed d/mode +0 mode 644→600",
        "added d/new +7",
        "added e +0",
        "changed link +0 target d→e",
    ]
    assert (diff.before_size, diff.after_size) == (10, 16)
    assert "changed d/same +0 time +7s" in shown(tree_diff(before, after, has_times=True))
    assert [change.kind for change in tree_diff(after, before).changes] == [
        "changed", "added", "changed", "removed", "removed", "changed",
    ]  # fmt: skip


def test_a_file_that_became_a_directory() -> None:
    before = Tree.fold([[stored("f", "abc")]])
    assert shown(tree_diff(before, before.with_layer([stored("f/g", "x")]))) == [
        "changed f -3 file→dir",
        "added f/g +1",
    ]


def test_equal_trees_do_not_differ() -> None:
    assert tree_diff(Tree.fold([BASE]), Tree.fold([BASE, [folder("d")]])) == TreeDiff((), 10, 10)


def test_names_of_one_file_count_once() -> None:
    tree = Tree.fold([[stored("a", "abc"), hard("b", "a"), stored("c", "abc")], [gone("a")]])
    assert tree_size(tree.entries()) == 6
