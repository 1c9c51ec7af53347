"""Which stored files can be seen in an image, which are hidden by what, and which are there twice."""

from __future__ import annotations

from random import Random

import pytest

from minidock.core.entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    OPAQUE,
    SYMLINK,
    WHITEOUT,
    Entry,
    Tree,
    content_size,
)
from minidock.core.stored_files import LayerBytes, StoredFile, layer_bytes, stored_files


def stored(path: str, content: str, mode: int = 0o644) -> Entry:
    """Return a file that holds ``content``, whose length is its size."""
    return Entry(path, FILE, mode, size=len(content), sha256=content)


def folder(path: str) -> Entry:
    return Entry(path, DIRECTORY, 0o755)


def gone(path: str) -> Entry:
    return Entry(path, WHITEOUT)


def hard(path: str, target: str) -> Entry:
    return Entry(path, HARDLINK, linkname=target)


def shown(file: StoredFile) -> str:
    """Return a file's path and fate in one line."""
    if file.original is not None:
        return f"{file.entry.path} duplicate of {file.original.layer} ({file.original.entry.path})"
    if file.hiding is not None:
        return f"{file.entry.path} {file.hiding.way} by {file.hiding.layer} ({file.hiding.path})"
    return f"{file.entry.path} visible"


CASES: dict[str, tuple[list[list[Entry]], list[list[str]]]] = {
    "one layer": ([[folder("d"), stored("d/f", "abc")]], [["d/f visible"]]),
    "removed in a later step": (
        [[stored("f", "abc")], [gone("f")]],
        [["f deleted by 1 (f)"], []],
    ),
    "removed with its directory": (
        [[folder("d"), folder("d/e"), stored("d/e/f", "abc")], [gone("d")]],
        [["d/e/f deleted by 1 (d)"], []],
    ),
    "overwritten": (
        [[stored("f", "abc")], [stored("f", "xyz")]],
        [["f overwritten by 1 (f)"], ["f visible"]],
    ),
    "overwritten by a link": (
        [[stored("f", "abc")], [Entry("f", SYMLINK, linkname="abc")]],
        [["f overwritten by 1 (f)"], []],
    ),
    "only its mode changed": (
        [[stored("f", "abc")], [stored("f", "abc", 0o755)]],
        [["f visible"], ["f duplicate of 0 (f)"]],
    ),
    "attributes changed again and again, then removed": (
        [[stored("f", "abc")], [stored("f", "abc", 0o755)], [stored("f", "abc", 0o700)], [gone("f")]],
        [["f deleted by 3 (f)"], ["f duplicate of 0 (f)"], ["f duplicate of 0 (f)"], []],
    ),
    "mode changed, then overwritten": (
        [[stored("f", "abc")], [stored("f", "abc", 0o755)], [stored("f", "xyz")]],
        [["f overwritten by 2 (f)"], ["f duplicate of 0 (f)"], ["f visible"]],
    ),
    "moved": (
        [[stored("a", "abc")], [gone("a"), stored("b", "abc")]],
        [["a visible"], ["b duplicate of 0 (a)"]],
    ),
    "two that were swapped": (
        [[stored("a", "abc"), stored("b", "xyz")], [stored("a", "xyz"), stored("b", "abc")]],
        [["a visible", "b visible"], ["a duplicate of 0 (b)", "b duplicate of 0 (a)"]],
    ),
    "equal ones keep to their paths, whatever else the step copies": (
        [
            [stored("x", "abc")],
            [stored("y", "abc")],
            [stored("a", "abc"), stored("x", "abc", 0), stored("y", "abc", 0)],
        ],
        [["x visible"], ["y visible"], ["a visible", "x duplicate of 0 (x)", "y duplicate of 1 (y)"]],
    ),
    "of equal ones that were deleted the one that was so first is moved": (
        [[stored("a", "abc")], [stored("b", "abc")], [gone("b")], [gone("a")], [stored("c", "abc")]],
        [["a deleted by 3 (a)"], ["b visible"], [], [], ["c duplicate of 1 (b)"]],
    ),
    "equal ones keep to their paths": (
        [
            [stored("a", "abc"), stored("b", "abc")],
            [stored("b", "abc", 0o755)],
            [stored("a", "abc", 0o755)],
            [gone("a")],
        ],
        [["a deleted by 3 (a)", "b visible"], ["b duplicate of 0 (b)"], ["a duplicate of 0 (a)"], []],
    ),
    "copied, and both are seen": (
        [[stored("a", "abc")], [stored("b", "abc")]],
        [["a visible"], ["b visible"]],
    ),
    "removed and put there again": (
        [[stored("f", "abc")], [gone("f")], [stored("f", "abc")]],
        [["f visible"], [], ["f duplicate of 0 (f)"]],
    ),
    "an empty file is no duplicate": (
        [[stored("f", "")], [stored("f", "", 0o755)]],
        [["f overwritten by 1 (f)"], ["f visible"]],
    ),
    "another name is left": (
        [[stored("a", "abc"), hard("b", "a")], [gone("a")]],
        [["a visible"], []],
    ),
    "the last name goes later": (
        [[stored("a", "abc"), hard("b", "a")], [gone("a")], [stored("b", "xyz")]],
        [["a overwritten by 2 (b)"], [], ["b visible"]],
    ),
    "a name more for a file that is copied": (
        [[stored("a", "abc")], [stored("a", "abc"), hard("b", "a")], [gone("a")]],
        [["a visible"], ["a duplicate of 0 (a)"], []],
    ),
    "one name of two is copied: both can be seen": (
        [[stored("a", "abc"), hard("b", "a")], [stored("a", "abc", 0o755)]],
        [["a visible"], ["a visible"]],
    ),
    "a link to a symbolic link has no content": (
        [[stored("s", "abc")], [Entry("s", SYMLINK, linkname="x"), hard("t", "s")]],
        [["s overwritten by 1 (s)"], []],
    ),
    "emptied directory, refilled": (
        [
            [folder("d"), stored("d/a", "abc"), stored("d/b", "xyz"), stored("dd", "left")],
            [folder("d"), Entry("d", OPAQUE), stored("d/a", "new")],
        ],
        [["d/a overwritten by 1 (d/a)", "d/b emptied by 1 (d)", "dd visible"], ["d/a visible"]],
    ),
    "emptied root": (
        [[folder("d"), stored("d/a", "abc"), stored("b", "xyz")], [Entry("", OPAQUE)]],
        [["d/a emptied by 1 ()", "b emptied by 1 ()"], []],
    ),
    "a file in the place of a directory": (
        [[folder("d"), folder("d/e"), stored("d/e/f", "abc")], [stored("d", "xyz")]],
        [["d/e/f replaced by 1 (d)"], ["d visible"]],
    ),
    "a link in the place of a directory": (
        [[folder("d"), stored("d/f", "abc")], [Entry("d", SYMLINK, linkname="e")]],
        [["d/f replaced by 1 (d)"], []],
    ),
    "a directory in the place of a file": (
        [[stored("f", "abc")], [folder("f"), stored("f/g", "xyz")]],
        [["f replaced by 1 (f)"], ["f/g visible"]],
    ),
    "a directory that nobody names in the place of a file": (
        [[stored("f", "abc")], [stored("f/g/h", "xyz")]],
        [["f replaced by 1 (f)"], ["f/g/h visible"]],
    ),
    "what is not there is deleted": (
        [[stored("f", "abc")], [gone("g"), Entry("h", OPAQUE)], [gone("f/x")]],
        [["f visible"], [], []],
    ),
    "the same layer twice": (
        [[folder("d"), stored("d/f", "abc")], [folder("d"), stored("d/f", "abc")]],
        [["d/f visible"], ["d/f duplicate of 0 (d/f)"]],
    ),
}


@pytest.mark.parametrize(("layers", "expected"), CASES.values(), ids=CASES)
def test_fates(layers: list[list[Entry]], expected: list[list[str]]) -> None:
    assert [[shown(file) for file in files] for files in stored_files(layers)] == expected


def test_a_copy_tells_what_it_was_made_for() -> None:
    layers = [[stored("f", "abc")], [stored("f", "abc", 0o755)], [stored("f", "abc", 0o700)]]
    third = stored_files(layers)[2][0]
    assert third.original is not None
    assert (third.original.layer, third.original.entry.mode) == (0, 0o755)


def test_sums_count_each_byte_once() -> None:
    layers = [
        [stored("a", "four"), stored("b", "three"), stored("c", "xy")],
        [stored("a", "four", 0o755), gone("b")],
    ]
    files = stored_files(layers)
    assert [layer_bytes(of_layer) for of_layer in files] == [LayerBytes(6, 5, 0), LayerBytes(0, 0, 4)]
    assert [layer_bytes(of_layer).added for of_layer in files] == [content_size(layer) for layer in layers]


def random_layers(random: Random) -> list[list[Entry]]:
    """Return some layers as a build would write them: names once, nothing below what is not a directory."""
    layers = []
    for number in range(random.randint(1, 7)):
        layer: dict[str, Entry] = {}
        for _ in range(random.randint(0, 8)):
            path = "/".join(random.choice("abc") for _ in range(random.randint(1, 3)))
            parents = [path[: 2 * depth + 1] for depth in range(path.count("/"))]
            if path in layer or any(layer.get(parent, folder("")).kind != DIRECTORY for parent in parents):
                continue
            if any(other.startswith(f"{path}/") for other in layer):
                continue
            files = [entry.path for entry in layer.values() if entry.kind == FILE]
            kinds = [FILE, FILE, FILE, DIRECTORY, SYMLINK, WHITEOUT, OPAQUE] + [HARDLINK] * bool(files)
            kind = random.choice(kinds)
            layer |= {parent: folder(parent) for parent in parents if random.random() < 0.7 and parent not in layer}
            content = random.choice(("", "one", "two!", "three"))
            entry = Entry(path, kind, linkname=random.choice(files) if kind == HARDLINK else "")
            if kind == FILE:
                entry = entry._replace(size=len(content), sha256=content, offset=1000 * number + len(layer))
            layer[path] = entry
        layers.append(sorted(layer.values(), key=lambda entry: (entry.kind == HARDLINK, entry.path)))
    return layers


@pytest.mark.parametrize("seed", range(20))
def test_visible_bytes_are_those_of_the_merged_tree(seed: int) -> None:
    random = Random(seed)
    for _ in range(100):
        layers = random_layers(random)
        files = stored_files(layers)
        sums = [layer_bytes(of_layer) for of_layer in files]
        # Hard links stand in the tree as files with the same place of their content.
        seen = {entry.offset: entry.size for entry in Tree.fold(layers).entries() if entry.kind == FILE}
        assert sum(item.visible for item in sums) == sum(seen.values()), layers
        assert [item.added for item in sums] == [content_size(layer) for layer in layers]
        for file in (file for of_layer in files for file in of_layer):
            assert file.hiding is None or file.hiding.layer > file.layer
            assert file.original is None or file.original.layer < file.layer
            assert file.hiding is None or file.original is None
