"""What a container changed, as it is printed."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from minidock.core.container_changes import ADDED, CHANGED, DELETED, Change, ContainerSizes
from minidock.core.entries import CHAR, DIRECTORY, FILE, SYMLINK, Entry
from minidock.core.file_patch import MOST_BYTES, FilePatch
from minidock.render.changes import print_patch, print_sizes
from minidock.render.console import Console
from minidock.render.formats import Format
from minidock.render.patch import patch_lines, quoted

FOUND = ContainerSizes(
    (
        Change(CHANGED, "/etc", Entry("etc", DIRECTORY), Entry("etc", DIRECTORY)),
        Change(CHANGED, "/etc/big", Entry("etc/big", FILE, size=20), Entry("etc/big", FILE, size=2000), 20, 20),
        Change(DELETED, "/old", Entry("old", DIRECTORY), None, 1000),
        Change(ADDED, "/x\x1b[2J", None, Entry("x\x1b[2J", FILE, size=5)),
    ),
    hidden_size=1020,
    whole_copy_size=3,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def console(out: io.StringIO) -> Console:
    return Console(out, io.StringIO(), datetime(2026, 1, 1, tzinfo=UTC))


def printed(shape: Format) -> str:
    out = io.StringIO()
    print_sizes(console(out), FOUND, shape=shape)
    return out.getvalue()


def test_sizes_stand_in_a_table_above_their_sums() -> None:
    assert printed(Format.TABLE) == (
        "CHANGE    SIZE      IN IMAGE   COPIED UP   PATH\n"
        "C                                          /etc\n"
        "C         2kB       20B        20B         /etc/big\n"
        "D                   1kB                    /old\n"
        "A         5B                               /x [2J\n"
        "\n"
        "The container holds 2kB (2,005 bytes) of content.\n"
        "Copied up from the image and still as there: 20B in 1 file.\n"
        "Of the image it hides 1.02kB (1,020 bytes).\n"
        "There is no overlay here: all 3B of the image were copied first.\n"
    )


def test_sizes_are_numbers_of_bytes_in_json_and_templates() -> None:
    rows = [json.loads(line) for line in printed(Format.JSON).splitlines()]
    assert rows[1:3] == [
        {"Kind": "C", "Path": "/etc/big", "Type": "file", "Size": 2000, "ImageSize": 20, "CopiedUp": 20},
        {"Kind": "D", "Path": "/old", "Type": "dir", "Size": 0, "ImageSize": 1000, "CopiedUp": 0},
    ]
    assert printed(Format.parse("{{.Kind}} {{.Size}}")) == "C 0\nC 2000\nD 0\nA 5\n"
    assert printed(Format.parse("table {{.CopiedUp}}\t{{.Path}}")).startswith("COPIED UP   PATH\n")


TEXT = FilePatch("x", None, Entry("x", FILE), (b"", b"a\x1b[2J\tb\r\n\xc2\x9b"), sizes=(0, 10))


def test_a_terminal_is_not_steered_by_what_a_file_says() -> None:
    out: io.StringIO = Terminal()
    print_patch(console(out), TEXT)
    assert "+a^[[2J\tb^M\n+M-^[\n" in out.getvalue()
    out = io.StringIO()
    print_patch(console(out), TEXT)
    assert "+a\x1b[2J\tb\r\n+\x9b\n" in out.getvalue()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("etc/passwd", "etc/passwd"),
        ("a b/ä", "a b/ä"),
        ('say "x"\n', '"say \\"x\\"\\n"'),
        ("back\\slash", '"back\\\\slash"'),
        ("\x1b\x7f", '"\\033\\177"'),
        ("\x9b", '"\\302\\233"'),
        ("\udcff", '"\\377"'),
    ],
)
def test_odd_names_are_quoted_as_git_does(path: str, expected: str) -> None:
    assert quoted(path) == expected


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (
            FilePatch("d", Entry("d", DIRECTORY, 0o755), Entry("d", DIRECTORY, 0o1777, 5, 6)),
            ["# d: directory, mode 755 -> 1777, owner 0:0 -> 5:6"],
        ),
        (FilePatch("d", Entry("d", DIRECTORY, mtime=1), Entry("d", DIRECTORY, mtime=2)), []),
        (
            FilePatch("null", None, Entry("null", CHAR, 0o666, major=1, minor=3)),
            ["# null: character device 1:3 added, mode 666, owner 0:0"],
        ),
        (
            FilePatch("null", Entry("null", CHAR, major=1, minor=3), Entry("null", CHAR, major=1, minor=5)),
            ["# null: character device, device 1:3 -> 1:5"],
        ),
        (
            FilePatch("f", Entry("f", FILE, xattrs=(("user.a", "1"), ("user.b", "1"))),
                      Entry("f", FILE, xattrs=(("user.b", "2"), ("user.c", "1"))), (b"", b""), True),
            [
                "# f: extended attribute user.a removed",
                "# f: extended attribute user.b changed",
                "# f: extended attribute user.c added",
            ],
        ),
        (
            FilePatch("f", Entry("f", FILE), Entry("f", FILE), None, False, (1, MOST_BYTES + 1)),
            [
                "# f: too large to be compared by lines, 1 -> 4,194,305 bytes",
                "diff --git a/f b/f",
                "Binary files a/f and b/f differ",
            ],
        ),
        (
            FilePatch("f", None, Entry("f", FILE, 0o4755, 0, 7), (b"", b"")),
            ["# f: owner 0:7", "diff --git a/f b/f", "new file mode 104755"],
        ),
        (
            FilePatch("l", Entry("l", SYMLINK, 0o777, linkname="a"), None, (b"a", b"")),
            ["diff --git a/l b/l", "deleted file mode 120000", "--- a/l", "+++ /dev/null", "@@ -1 +0,0 @@", "-a",
             "\\ No newline at end of file"],
        ),
        (FilePatch("f", Entry("f", FILE), Entry("f", FILE), (b"", b""), True), ["# f: nothing changed"]),
        (FilePatch("f", None, Entry("f", FILE), problem="it went away"), ["# f: it went away"]),
    ],
)  # fmt: skip
def test_what_git_has_no_words_for_is_a_remark(patch: FilePatch, expected: list[str]) -> None:
    assert list(patch_lines(patch)) == expected
