"""Which files a source names, with --parents and --exclude."""

from __future__ import annotations

from typing import Any

import pytest

from minidock.core.entries import DIRECTORY, FILE, SYMLINK, Entry, Tree
from minidock.core.selecting import Selected, Selection, exclusion
from minidock.errors import BuildError
from tests.vectors import load


def tree(*paths: str) -> Tree:
    """Return a tree of files; a path that ends in ``/`` is a directory, ``a -> b`` a link."""
    entries = {"": Entry("", DIRECTORY, 0o755)}
    for text in paths:
        path, arrow, target = text.partition(" -> ")
        parts = path.strip("/").split("/")
        for end in range(1, len(parts)):
            entries.setdefault("/".join(parts[:end]), Entry("/".join(parts[:end]), DIRECTORY, 0o755))
        name = "/".join(parts)
        kind = SYMLINK if arrow else DIRECTORY if path.endswith("/") else FILE
        entries[name] = Entry(name, kind, linkname=target)
    return Tree(entries)


def shown(found: tuple[Selected, ...]) -> list[tuple[str, list[str]]]:
    """Return names and members; a directory that is only passed ends in ``/``."""
    return [
        (item.name, [f"{member.path}/" if member.path in item.passed else member.path for member in item.members])
        for item in found
    ]


FILES = tree("a/b/c.txt", "a/b/d.md", "a/e/", "a/f.txt", "g.txt", "h -> a/b", "x/y/c.txt")


@pytest.mark.parametrize(
    ("source", "excludes", "expected"),
    [
        ("a", [], [("a", ["b", "b/c.txt", "b/d.md", "e", "f.txt"])]),
        ("a", ["b"], [("a", ["e", "f.txt"])]),
        ("a", ["**/*.txt"], [("a", ["b", "b/d.md", "e"])]),
        ("a", ["*.txt"], [("a", ["b", "b/c.txt", "b/d.md", "e"])]),
        ("a", ["*", "!b/c.txt"], [("a", ["b/", "b/c.txt"])]),
        ("a", ["b", "!b/d.md", "e"], [("a", ["b/", "b/d.md", "f.txt"])]),
        ("a/b", ["b/c.txt"], [("b", ["c.txt", "d.md"])]),
        ("g.txt", ["g.txt", "*"], [("g.txt", [])]),
        ("*.txt", ["*.txt"], [("g.txt", [])]),
        (".", ["a", "x", "h"], [("", ["g.txt"])]),
        ("h", [], [("h", ["c.txt", "d.md"])]),
        ("h/*.md", [], [("d.md", [])]),
        ("?/b", [], [("b", ["c.txt", "d.md"])]),
    ],
)
def test_exclusions_count_below_each_source(
    source: str, excludes: list[str], expected: list[tuple[str, list[str]]]
) -> None:
    assert shown(Selection(excludes=exclusion(excludes)).of(FILES, source)) == expected


@pytest.mark.parametrize(
    ("source", "excludes", "expected"),
    [
        ("a/b/c.txt", [], ["a/", "a/b/", "a/b/c.txt"]),
        ("a/./b/c.txt", [], ["b/", "b/c.txt"]),
        ("a/b/./c.txt", [], ["c.txt"]),
        ("/a/b", [], ["a/", "a/b", "a/b/c.txt", "a/b/d.md"]),
        ("**/c.txt", [], ["a/", "a/b/", "a/b/c.txt", "x/", "x/y/", "x/y/c.txt"]),
        ("./a/./**/*.md", [], ["b/", "b/d.md"]),
        ("a/*", ["a/b"], ["a/", "a/e", "a/f.txt"]),
        ("nothing/*", [], []),
        ("a/../x/y/c.txt", [], ["x/", "x/y/", "x/y/c.txt"]),
    ],
)
def test_parents_keep_the_path_below_the_pivot(source: str, excludes: list[str], expected: list[str]) -> None:
    found = Selection(keeps_parents=True, excludes=exclusion(excludes)).of(FILES, source)
    assert [member for _, members in shown(found) for member in members] == expected


@pytest.mark.parametrize("source", ["a/nothing", "a/./nothing", "nothing/./b"])
def test_a_path_without_wildcards_must_be_there(source: str) -> None:
    with pytest.raises(BuildError, match=r'"/.*nothing.*": not found'):
        Selection(keeps_parents=True).of(FILES, source)


def test_matches_come_in_the_order_of_their_directories() -> None:
    found = Selection().of(tree("a-b/x", "a/x", "b/x"), "*/x")
    assert [item.entry.path for item in found] == ["a/x", "a-b/x", "b/x"]


def filter_cases() -> list[Any]:
    """Return the cases of one pattern, which COPY --parents and --exclude can say."""
    found = [case for case in load("context-filter")["cases"] if "copied" in case and len(case["include"]) <= 1]
    if not found:
        return [pytest.param({}, marks=pytest.mark.skip(reason="MINIDOCK_VECTORS is not set"), id="no-vectors")]
    return [pytest.param(case, id=case["id"]) for case in found]


@pytest.mark.parametrize("case", filter_cases())
def test_trees_are_filtered_as_fsutil_does(case: dict[str, Any]) -> None:
    lines = [line.split() for line in case["tree"]]
    files = tree(*(f"{name}/" if kind == "dir" else name for _, name, kind, *_ in lines))
    selection = Selection(bool(case["include"]), exclusion(case["exclude"]))
    (found,) = selection.of(files, case["include"][0] if case["include"] else ".")
    assert [member.path for member in found.members] == sorted(case["copied"])


LINKS = tree("a/f", "bad -> none", "a/bad -> none", "up -> a", "b/f", "file")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none/*", "lstat /none: no such file or directory"),
        ("a/none/*/f", "lstat /a/none: no such file or directory"),
        ("file/f/*", "lstat /file/f: not a directory"),
        ("up/none/*", "lstat /a/none: no such file or directory"),
    ],
)
def test_a_wildcard_needs_the_directory_that_it_begins_in(source: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        Selection().of(LINKS, source)
    assert str(caught.value) == message


def test_a_wildcard_follows_no_link_on_the_way_but_one_at_the_end() -> None:
    assert shown(Selection().of(LINKS, "?*/f")) == [("f", []), ("f", [])]
    assert shown(Selection().of(LINKS, "u*")) == [("up", ["bad", "f"])]
    assert shown(Selection().of(LINKS, "up/f*")) == [("f", [])]


@pytest.mark.parametrize("source", ["bad", "*", "b*"])
def test_parents_follows_the_links_of_the_topmost_directory(source: str) -> None:
    with pytest.raises(BuildError, match='"/bad": not found'):
        Selection(keeps_parents=True).of(LINKS, source)


def test_parents_leaves_other_links_alone() -> None:
    assert shown(Selection(keeps_parents=True).of(LINKS, "a/bad")) == [("", ["a/", "a/bad"])]
    assert shown(Selection(keeps_parents=True).of(LINKS, "a/./bad")) == [("a", ["bad"])]


def test_a_pivot_behind_a_wildcard_means_what_is_sent() -> None:
    files = tree("a/f", "b/g", "file")
    assert shown(Selection(keeps_parents=True).of(files, "*/./f")) == [("a", ["f"])]
    assert shown(Selection(keeps_parents=True, is_whole=True).of(files, "*/./f")) == [
        ("a", ["f"]),
        ("b", []),
        ("file", []),
    ]
    assert shown(Selection(keeps_parents=True).of(files, "fi*/./")) == [("file", [])]


def test_a_source_of_parents_that_is_excluded_is_not_there() -> None:
    with pytest.raises(BuildError, match='"/a/f": not found'):
        Selection(True, exclusion(["a"])).of(LINKS, "a/f")
    assert shown(Selection(True, exclusion(["**/f"])).of(LINKS, "a/f*")) == [("", [])]
