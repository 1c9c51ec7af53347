"""Which layers images share, as a tree."""

from __future__ import annotations

from minidock.core.digest import Digest
from minidock.core.layer_tree import LayeredImage, branches
from minidock.render.trees import tree_lines, tree_members

A, B, C = (Digest(letter * 64) for letter in "abc")
IMAGES = (
    LayeredImage("base:1", (A,), (1000,)),
    LayeredImage("app:1, app:2", (A, B, C), (1000, 20, 3)),
    LayeredImage("other:1", (A, C), (1000, 3)),
    LayeredImage("alone:1", (C,), (3,)),
    LayeredImage("empty:1", (), ()),
)


def test_equal_beginnings_are_one_branch() -> None:
    assert list(tree_lines(branches(IMAGES))) == [
        "aaaaaaaaaaaa  1kB  shared by 3  base:1",
        "├─ bbbbbbbbbbbb  20B",
        "│  └─ cccccccccccc  3B  app:1, app:2",
        "└─ cccccccccccc  3B  other:1",
        "cccccccccccc  3B  alone:1",
    ]


def test_as_json_every_layer_has_those_above_it() -> None:
    assert tree_members(branches(IMAGES[:1])) == [
        {"Layer": str(A), "Size": 1000, "Users": 1, "Images": ["base:1"], "Above": []}
    ]
