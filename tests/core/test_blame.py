"""What layers did to a path: tables of layers, and one line for each touch."""

from __future__ import annotations

import pytest

from minidock.core.blame import Touch, normal_path, touches
from minidock.core.entries import CHAR, DIRECTORY, OPAQUE, SYMLINK, Entry
from tests.core.test_stored_files import folder, gone, hard, stored


def shown(touch: Touch) -> str:
    parts = [str(touch.layer), touch.deed.value, *(difference.text for difference in touch.differences)]
    if touch.cause:
        parts.append(f"by {touch.cause}")
    if touch.link:
        parts.append(f"link to {touch.link}")
    return " ".join(parts)


LINK = Entry("s", SYMLINK, 0o777, linkname="a")
CASES: dict[str, tuple[str, list[list[Entry]], list[str]]] = {
    "never there": ("x", [[stored("f", "abc")], [gone("x")]], []),
    "added": ("f", [[stored("g", "abc")], [stored("f", "abc")]], ["1 added"]),
    "mode only": ("f", [[stored("f", "a")], [stored("f", "a", 0o755)]], ["0 added", "1 attributes mode 644→755"]),
    "owner only": (
        "f",
        [[stored("f", "a")], [stored("f", "a")._replace(uid=5, gid=7)]],
        ["0 added", "1 attributes owner 0:0→5:7"],
    ),
    "extended attributes": (
        "f",
        [[stored("f", "a")], [stored("f", "a")._replace(xattrs=(("user.x", "1"),))]],
        ["0 added", "1 attributes extended attributes user.x"],
    ),
    "time only": ("f", [[stored("f", "a")], [stored("f", "a")._replace(mtime=9)]], ["0 added", "1 stored again"]),
    "content and mode": (
        "f",
        [[stored("f", "a")], [stored("f", "b", 0o600)]],
        ["0 added", "1 content content mode 644→600"],
    ),
    "another target": ("s", [[LINK], [LINK._replace(linkname="b")]], ["0 added", "1 content target a→b"]),
    "another device": (
        "c",
        [[Entry("c", CHAR, major=1, minor=3)], [Entry("c", CHAR, major=1, minor=5)]],
        ["0 added", "1 content device 1,3→1,5"],
    ),
    "another type": ("s", [[LINK], [stored("s", "a")]], ["0 added", "1 type symlink→file"]),
    "deleted and there again": (
        "f",
        [[stored("f", "a")], [gone("f")], [gone("f")], [stored("f", "a")]],
        ["0 added", "1 deleted by f", "3 added"],
    ),
    "deleted with its directory": (
        "d/e/f",
        [[folder("d"), folder("d/e"), stored("d/e/f", "a")], [gone("d")]],
        ["0 added", "1 deleted by d"],
    ),
    "emptied": (
        "d/f",
        [[folder("d"), stored("d/f", "a")], [folder("d"), Entry("d", OPAQUE)]],
        ["0 added", "1 emptied by d"],
    ),
    "in an emptied directory, and put there again": (
        "d/f",
        [[folder("d"), stored("d/f", "a")], [folder("d"), Entry("d", OPAQUE), stored("d/f", "b")]],
        ["0 added", "1 content content"],
    ),
    "the emptied directory": (
        "d",
        [[folder("d"), stored("d/f", "a")], [folder("d"), Entry("d", OPAQUE)]],
        ["0 added", "1 emptied by d"],
    ),
    "its directory became a file": (
        "d/f",
        [[folder("d"), stored("d/f", "a")], [stored("d", "b")]],
        ["0 added", "1 replaced by d"],
    ),
    "the nearest cause is told": (
        "d/e/f",
        [[stored("d/e/f", "a")], [Entry("d", OPAQUE), gone("d/e")]],
        ["0 added", "1 deleted by d/e"],
    ),
    "a file became a directory": (
        "f",
        [[stored("f", "a")], [stored("f/g", "b")]],
        ["0 added", "1 type file→dir"],
    ),
    "directories are there for what is in them": (
        "d",
        [[stored("d/f", "a")], [folder("d"), stored("d/g", "a")], [folder("d")._replace(mode=0o700)]],
        ["0 added", "2 attributes mode 755→700"],
    ),
    "a name more": (
        "b",
        [[stored("a", "a")], [stored("a", "a"), hard("b", "a")], [stored("b", "c")]],
        ["1 added link to a", "2 content content"],
    ),
    "the root": ("", [[folder("")], [folder(""), stored("f", "a")]], ["0 added"]),
}


@pytest.mark.parametrize(("path", "layers", "expected"), CASES.values(), ids=CASES)
def test_touches(path: str, layers: list[list[Entry]], expected: list[str]) -> None:
    assert [shown(touch) for touch in touches(layers, path)] == expected


def test_a_hard_link_has_the_content_it_leads_to() -> None:
    (touch,) = touches([[stored("a", "abc", 0o600), hard("b", "a")]], "b")
    assert touch.entry == stored("b", "abc", 0o600)


def test_a_directory_that_nobody_names_is_one() -> None:
    (touch,) = touches([[stored("d/e/f", "abc")]], "d/e")
    assert touch.entry == Entry("d/e", DIRECTORY, 0o755)


@pytest.mark.parametrize(
    ("text", "expected"), [("/a/b", "a/b"), ("a//b/", "a/b"), ("/", ""), (".", ""), ("//a/../../b", "b")]
)
def test_paths_as_users_write_them(text: str, expected: str) -> None:
    assert normal_path(text) == expected
