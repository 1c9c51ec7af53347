"""Unified diffs: what stands in them, and that patch(1) makes the one text of the other."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from random import Random

import pytest

from minidock.core.text_diff import hunks, is_text

NONE = "\\ No newline at end of file"
TEN = b"".join(b"%d\n" % number for number in range(1, 11))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"", b"", []),
        (b"a\n", b"a\n", []),
        (b"", b"a\nb\n", ["@@ -0,0 +1,2 @@", "+a", "+b"]),
        (b"a\n", b"", ["@@ -1 +0,0 @@", "-a"]),
        (b"a\nb\n", b"a\nB\n", ["@@ -1,2 +1,2 @@", " a", "-b", "+B"]),
        (b"a", b"a\n", ["@@ -1 +1 @@", "-a", NONE, "+a"]),
        (b"a\nb", b"A\nb", ["@@ -1,2 +1,2 @@", "-a", "+A", " b", NONE]),
        (b"", b"x", ["@@ -0,0 +1 @@", "+x", NONE]),
        (b"\r\n", b"\n", ["@@ -1 +1 @@", "-\r", "+"]),
        (b"a\x0cb\x1c\x85\n", b"", ["@@ -1 +0,0 @@", "-a\x0cb\x1c\udc85"]),
        (TEN, TEN + b"11\n", ["@@ -8,3 +8,4 @@", " 8", " 9", " 10", "+11"]),
        (TEN, b"0\n" + TEN, ["@@ -1,3 +1,4 @@", "+0", " 1", " 2", " 3"]),
        (TEN, TEN.replace(b"5\n", b""), ["@@ -2,7 +2,6 @@", " 2", " 3", " 4", "-5", " 6", " 7", " 8"]),
        (
            TEN,
            TEN.replace(b"1\n2", b"one\n2").replace(b"10", b"ten"),
            ["@@ -1,4 +1,4 @@", "-1", "+one", " 2", " 3", " 4", "@@ -7,4 +7,4 @@", " 7", " 8", " 9", "-10", "+ten"],
        ),
    ],
)
def test_lines_that_differ_are_told(before: bytes, after: bytes, expected: list[str]) -> None:
    assert list(hunks(before, after)) == expected


def test_text_is_what_has_no_nul_near_its_beginning() -> None:
    assert is_text(b"")
    assert is_text("Größe\n".encode("latin-1"))
    assert not is_text(b"\x7fELF\0")
    assert is_text(b"x" * 8000 + b"\0")


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch(1) is not installed")
@pytest.mark.parametrize("seed", range(40))
def test_patch_makes_the_one_of_the_other(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    words = [b"", b"a", b"b", b"-- c", b"@@ -1 +1 @@", b"\\ x", b"\xff\t", b"d\r"]
    before = [random.choice(words) for _ in range(random.randrange(60))]
    after = list(before)
    for _ in range(random.randrange(8)):
        place = random.randrange(len(after) + 1)
        after[place : place + random.randrange(3)] = [random.choice(words) for _ in range(random.randrange(4))]
    ends = [random.choice((b"", b"\n")) for _ in range(2)]
    old, new = (b"\n".join(lines) + end for lines, end in zip((before, after), ends, strict=True))
    (tmp_path / "file").write_bytes(old)
    told = "".join(f"{line}\n" for line in ("--- file", "+++ file", *hunks(old, new)))
    if old != new:
        subprocess.run(
            ["patch", "--binary", "--posix", "-p0", "-s", "--no-backup-if-mismatch"],
            input=told.encode("utf-8", "surrogateescape"),
            cwd=tmp_path,
            check=True,
        )
    found = (tmp_path / "file").read_bytes() if (tmp_path / "file").exists() else b""
    assert found == new


@pytest.mark.parametrize("distinct", [2, 110, 20_000])
def test_texts_that_are_hard_to_compare_take_seconds(distinct: int) -> None:
    random = Random(1)
    before, after = ([b"%d" % random.randrange(distinct) for _ in range(30_000)] for _ in range(2))
    started = time.process_time()
    lines = list(hunks(b"\n".join(before), b"\n".join(after)))
    assert time.process_time() - started < 20
    assert [line for line in lines if line.startswith("-")] and [line for line in lines if line.startswith("+")]
