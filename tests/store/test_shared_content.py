"""What of a changed file is as it was, and opening files that somebody else may exchange."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from random import Random

import pytest

from minidock.errors import StoreError
from minidock.store.beneath import open_beneath
from minidock.store.shared_content import Stretch, shared_size

BIG = Random(1).randbytes(3_000_000)
BLOCK = 4096


def shared(place: Path, before: bytes, after: bytes, offset: int = 0) -> int:
    (place / "before").write_bytes(b"x" * offset + before + b"more")
    (place / "after").write_bytes(after)
    with open(place / "before", "rb") as old, open(place / "after", "rb") as new:
        return shared_size(Stretch(old.fileno(), offset, len(before)), Stretch(new.fileno(), 0, len(after)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"", b"", 0),
        (b"", b"abc", 0),
        (b"abc", b"", 0),
        (b"abc", b"abc", 3),
        (b"abc", b"abcd", 3),
        (b"abcd", b"abc", 3),
        (b"abc", b"xyz", 0),
        (b"one two three", b"one 2 three", 10),
        (b"aaaa", b"aa", 2),
        (b"aXa", b"aa", 2),
        (BIG, BIG, len(BIG)),
        (BIG, BIG + b"more", len(BIG)),
        (BIG, BIG[: len(BIG) // 2], len(BIG) // 2),
        (BIG, b"?" + BIG, len(BIG)),
        (BIG, BIG[:2_000_000] + b"?" + BIG[2_000_000:], len(BIG)),
        (BIG, bytes(len(BIG)), 0),
    ],
)
@pytest.mark.parametrize("offset", [0, 512])
def test_bytes_that_were_left_alone_are_counted_once(
    before: bytes, after: bytes, expected: int, offset: int, tmp_path: Path
) -> None:
    assert shared(tmp_path, before, after, offset) == expected


def test_pages_that_a_database_wrote_are_told_from_those_that_it_did_not(tmp_path: Path) -> None:
    pages = bytearray(BIG)
    written = [3, 4, 700]
    for page in written:
        pages[page * BLOCK : (page + 1) * BLOCK] = bytes(BLOCK)
    # Of the first page and the last no byte is as it was: random bytes hardly ever are zeros at the very ends.
    ends = sum(1 for page in (3, 700) for place in (page * BLOCK, (page + 1) * BLOCK - 1) if BIG[place] == 0)
    assert ends == 0
    assert shared(tmp_path, BIG, bytes(pages)) == len(BIG) - len(written) * BLOCK


def test_a_file_below_a_directory_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"content")
    with open_beneath(str(tmp_path), "a/b/c") as fd:
        assert os.read(fd, 100) == b"content"


def test_nothing_leads_out_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to("../secret")
    (root / "dir").symlink_to("..")
    (root / "file").write_bytes(b"")
    for path in ("link", "dir/secret", "file/x"):
        with pytest.raises(StoreError) as caught, open_beneath(str(root), path):
            pass
        assert str(caught.value) == f"/{path} has been replaced while it was read"
    with pytest.raises(FileNotFoundError), open_beneath(str(root), "nothing"):
        pass


def test_nobody_waits_for_a_pipe_or_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name in ("pipe", "socket"):
            with pytest.raises(StoreError), open_beneath(str(tmp_path), name):
                pass
