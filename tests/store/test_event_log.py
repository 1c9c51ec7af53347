from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from minidock.store import event_log
from minidock.store.event_log import EventReader, append, growth, line_of
from minidock.store.writer import Disk


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "locks").mkdir()
    return str(tmp_path)


def tell(root: str, actor: str) -> None:
    append(Disk(), root, "container", "start", actor, {"name": "box"})


def actors(reader: EventReader) -> list[str]:
    return [event["Actor"]["ID"] for event in reader.events()]


def test_a_reader_gets_every_event_once(root: str) -> None:
    reader = EventReader(root)
    assert actors(reader) == []
    tell(root, "one")
    tell(root, "two")
    assert actors(reader) == ["one", "two"]
    assert actors(reader) == []
    tell(root, "three")
    assert actors(reader) == ["three"]
    assert actors(EventReader(root)) == ["one", "two", "three"]


def test_many_writers_lose_nothing(root: str) -> None:
    threads = [
        threading.Thread(target=lambda number=number: [tell(root, f"{number}-{turn}") for turn in range(50)])
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(actors(EventReader(root))) == sorted(f"{number}-{turn}" for number in range(8) for turn in range(50))


def test_the_record_is_bounded_and_its_readers_miss_nothing(root: str) -> None:
    reader = EventReader(root)
    long = "x" * 60_000
    seen = []
    for number in range(60):
        append(Disk(), root, "container", "start", str(number), {"name": long})
        if number % 5 == 0:
            seen += actors(reader)
    seen += actors(reader)
    assert seen == [str(number) for number in range(60)]
    size = sum(os.stat(f"{root}/{name}").st_size for name in ("events", "events.1"))
    assert size < 2 * event_log._MOST_BYTES + 200_000
    assert actors(EventReader(root))[-1] == "59"


def test_a_line_that_was_cut_costs_itself_only(root: str) -> None:
    tell(root, "one")
    with open(f"{root}/events", "ab") as file:
        file.write(b'{"Type":"contai')
    assert actors(EventReader(root)) == ["one"]
    tell(root, "two")
    assert actors(EventReader(root)) == ["one", "two"]


def test_what_cannot_be_written_down_happens_all_the_same(tmp_path: Path) -> None:
    tell(str(tmp_path / "no-store"), "one")
    assert actors(EventReader(str(tmp_path / "no-store"))) == []


@pytest.mark.parametrize(
    "count", [0, 1, 40, 600, 2_000], ids=["none", "one", "some", "many", "so-many-that-the-record-is-put-away"]
)
def test_the_growth_of_the_record_is_known_before(root: str, count: int) -> None:
    def taken() -> int:
        return sum(path.stat().st_blocks * 512 for path in Path(root).glob("events*"))

    actor = {"name": "x" * 900}
    for _ in range(1_000):
        append(Disk(), root, "container", "start", "a" * 64, actor)
    before = taken()
    expected = growth(root, [line_of("container", "destroy", "a" * 64, actor)] * count)
    for _ in range(count):
        append(Disk(), root, "container", "destroy", "a" * 64, actor)
    assert taken() - before == expected


def test_what_is_made_has_room_for_the_story_of_its_end(root: str) -> None:
    tell(root, "one")
    before = os.stat(f"{root}/events").st_blocks
    for _ in range(60):
        append(Disk(), root, "container", "destroy", "a" * 64, {"name": "box", "image": "base:1"})
    assert os.stat(f"{root}/events").st_blocks == before
