"""A layer of many members: what the disk makes of them is what memory makes of few, in little memory."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest

from minidock.core.entries import Entry
from minidock.errors import TarError
from minidock.store.members import read_entries, spooled_entries
from tests.store.tar_blocks import block, file, pax

NAMES = (b"a", b"b", b"c", b"a/b", b"a/c", b"a/b/c", b"b/a", b"b/a/c/d", b"c/b", b"a-", b"\xff", b"a/\xff", b"c/a/b")
TARGETS = (b"a", b"/a", b"b", b"../b", b"a/b", b"nowhere", b".", b"/c/..", b"c")


def member(chance: random.Random) -> bytes:
    name = chance.choice(NAMES)
    kind = chance.choice(("file", "file", "dir", "link", "hard", "hard", "white", "opaque", "fifo"))
    parent, _, last = name.rpartition(b"/")
    at = parent + b"/" if parent else b""
    made = {
        "file": file(name, chance.randbytes(chance.randrange(3))),
        "dir": block(name + b"/", b"5", mode=b"%07o\0" % chance.randrange(0o1000)),
        "link": block(name, b"2", link=chance.choice(TARGETS)),
        "hard": block(name, b"1", link=chance.choice(NAMES)),
        "white": block(at + b".wh." + last),
        "opaque": block(name + b"/.wh..wh..opq"),
        "fifo": block(name, b"6"),
    }
    return made[kind]


def ordered(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries with each deletion at its name, once: where it stands, and how often, means nothing."""
    return sorted(set(entries), key=lambda entry: (entry.path, entry.kind))


def both(data: bytes) -> tuple[object, object]:
    try:
        few: object = ordered(read_entries(io.BytesIO(data)))
    except TarError as error:
        few = str(error)
    try:
        with spooled_entries(io.BytesIO(data), None, few=0) as entries:
            many: object = ordered(list(entries))
    except TarError as error:
        many = str(error)
    return few, many


def test_many_members_become_what_few_become() -> None:
    chance = random.Random(5)
    accepted = 0
    for _ in range(800):
        data = b"".join(member(chance) for _ in range(chance.randrange(1, 12)))
        few, many = both(data)
        # Which of several faults is told first does not matter.
        assert type(few) is type(many) and (isinstance(few, str) or few == many), data
        accepted += not isinstance(few, str)
    assert 160 < accepted < 640


def test_without_sqlite_memory_has_to_do() -> None:
    script = """
import io, sys
sys.modules["sqlite3"] = None  # a Python that was built without it
from minidock.store.members import spooled_entries
from tests.store.tar_blocks import file
data = b"".join(file(b"f%d" % number, b"x") for number in range(9))
with spooled_entries(io.BytesIO(data), None, few=0) as entries:
    print(*(entry.path for entry in entries))
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (told.stdout, told.stderr) == ("f0 f1 f2 f3 f4 f5 f6 f7 f8\n", "")


def test_whether_all_parents_are_there_is_told_alike() -> None:
    chance = random.Random(6)
    told = []
    for _ in range(500):
        data = b"".join(member(chance) for _ in range(chance.randrange(1, 6)))
        answers = set()
        for few in (0, 1 << 20):
            try:
                with spooled_entries(io.BytesIO(data), None, few=few) as entries:
                    answers.add(entries.has_complete_parents())
            except TarError:
                answers.add(None)
        assert len(answers) == 1, data
        told.append(answers.pop())
    assert min(told.count(answer) for answer in (True, False, None)) > 30


def test_entries_keep_the_order_of_the_tar_and_everything_they_have() -> None:
    head = pax(SCHILY__xattr__user__a=b"\xff\x00", path=b"z/" + b"n" * 200)
    sparse = pax(GNU__sparse__size=b"9", GNU__sparse__map=b"3,2")
    data = head + file(b"?", b"1") + file(b"y", b"2") + sparse + file(b"x", b"ab") + block(b"w", b"1", link=b"x")
    with spooled_entries(io.BytesIO(data), None, few=0) as entries:
        assert list(entries) == read_entries(io.BytesIO(data))
        assert entries.has_parts
        assert [entry.path for entry in entries] == ["z/" + "n" * 200, "y", "x", "w"]


@pytest.mark.parametrize("few", [0, 1 << 20])
@pytest.mark.parametrize("names", [range(8000), range(8000, 0, -1)], ids=["to earlier ones", "to later ones"])
def test_hard_links_to_hard_links_take_no_time(few: int, names: range) -> None:
    """Followed one by one they would: 32 million steps."""
    first = names[0]
    data = file(b"%d" % first, b"x") + b"".join(
        block(b"%d" % name, b"1", link=b"%d" % (name - names.step)) for name in names[1:]
    )
    with spooled_entries(io.BytesIO(data), None, few=few) as entries:
        assert {entry.linkname for entry in entries} == {"", str(first)}


@pytest.mark.parametrize("few", [0, 1 << 20])
def test_hard_links_to_later_ones_are_followed_a_few_times_only(few: int) -> None:
    def chain(length: int) -> bytes:
        links = (block(b"%d" % name, b"1", link=b"%d" % (name + 1)) for name in range(length))
        return file(b"%d" % length, b"x") + b"".join(links)

    with spooled_entries(io.BytesIO(chain(40)), None, few=few) as entries:
        assert {entry.linkname for entry in entries} == {"", "40"}
    too_long = io.BytesIO(chain(41))
    problem = "hard link 0: it leads to more than 40 others"
    with pytest.raises(TarError, match=problem), spooled_entries(too_long, None, few=few):
        pass


@pytest.mark.parametrize("few", [0, 1 << 20])
@pytest.mark.parametrize(
    "data",
    [
        block(b"link", b"1", link=b"file") + file(b"file", b"1"),
        file(b"file", b"1") + block(b"link", b"1", link=b"file") + file(b"file", b"22"),  # the link has the first one
        block(b"d", b"2", link=b"e") + block(b"link", b"1", link=b"d/file") + file(b"e/file"),
    ],
)
def test_a_hard_link_before_its_target_is_refused(few: int, data: bytes) -> None:
    problem = "hard link link: its target (e/)?file comes later in the tar"
    with pytest.raises(TarError, match=problem), spooled_entries(io.BytesIO(data), None, few=few):
        pass
