"""Sessions: leases, pins, publishing, and what is swept after a death."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minidock.core.digest import Digest
from minidock.errors import StoreUnwritable
from minidock.store import session as sessions
from minidock.store.faults import Crash, Fault, FaultyDisk
from minidock.store.store import Store
from tests.engine.building import open_store

_SLEEPER = """
import sys, time
from tests.engine.building import open_store
from minidock.core.digest import Digest
store = open_store(sys.argv[1])
with store.session() as session:
    open(session.temporary(), "wb").write(bytes(9000))
    session.pin([Digest("a" * 64)])
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "store")
    with store.session():
        pass
    return store


def files(store: Store, directory: str) -> list[str]:
    return sorted(os.listdir(store.layout.path(directory)))


def rubbish(store: Store) -> list[list[str]]:
    return [files(store, directory) for directory in ("tmp", "trash", "locks/lease")]


def test_a_session_leaves_nothing_temporary(store: Store) -> None:
    with store.session() as session:
        Path(session.temporary()).write_bytes(b"x")
        assert files(store, "tmp") == files(store, "locks/lease") == [session.name]
    assert rubbish(store) == [[], [], []]


def test_a_session_ends_well_though_somebody_has_emptied_the_trash(store: Store) -> None:
    with store.session() as session:
        Path(session.temporary()).write_bytes(b"x")
        path = session.temporary()
        Path(path).write_bytes(b"x")
        session.discard(path)
        for name in files(store, "trash"):
            os.rmdir(store.layout.path("trash", name))
    assert rubbish(store) == [[], [], []]


def test_what_a_killed_process_left_is_swept_by_the_next_that_writes(store: Store) -> None:
    process = subprocess.Popen([sys.executable, "-c", _SLEEPER, store.layout.root], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with store.session():
        assert len(files(store, "tmp")) == 2, "what a living process writes is not touched"
        assert sessions.pinned(store.layout) == {"a" * 64}
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(sessions.abandoned(store.layout)) == 2
    assert sessions.pinned(store.layout) == set()
    with store.session() as session:
        assert files(store, "tmp") == [session.name]
        assert session.tidied_size >= 9000
    assert rubbish(store) == [[], [], []]


def test_a_session_that_failed_tells_the_next_one(store: Store) -> None:
    orphan = Path(store.layout.blob(Digest("b" * 64)))
    with pytest.raises(ZeroDivisionError), store.session():
        orphan.write_bytes(b"made before the names that would have kept it")
        raise ZeroDivisionError
    assert orphan.exists()
    with store.session():
        assert not orphan.exists()
    assert rubbish(store) == [[], [], []]


def test_what_a_living_session_throws_away_is_its_own_to_remove(store: Store) -> None:
    other = open_store(store.layout.root)
    blobs = [Path(store.layout.blob(Digest(letter * 64))) for letter in "ab"]
    with store.session() as session:
        for blob in blobs:
            blob.write_bytes(b"x")
        grave = session.bury(str(blobs[0]))
        Path(store.layout.path("trash", "left-by-a-dead-one")).mkdir()
        with other.session():
            assert os.listdir(store.layout.path("trash")) == [os.path.basename(os.path.dirname(grave))]
        second = session.bury(str(blobs[1]))
        assert (os.path.dirname(second), blobs[1].exists()) == (os.path.dirname(grave), False)
        for path in (grave, second):
            os.unlink(path)
        session.close_grave()
    assert rubbish(store) == [[], [], []]


def test_a_crash_at_any_operation_of_making_a_store(tmp_path: Path) -> None:
    counting = FaultyDisk()
    with open_store(tmp_path / "count", counting).session():
        pass
    for number in range(1, counting.done + 1):
        root = tmp_path / f"store-{number}"
        with pytest.raises(Crash), open_store(root, FaultyDisk(number, Fault.CRASH_INSIDE)).session():
            pass
        store = open_store(root)
        with store.session():
            pass
        assert rubbish(store) == [[], [], []]
        assert (store.exists, store.images.list()) == (True, ())
        assert os.path.getsize(store.layout.path("reserve")) == 64 << 10


def test_many_may_make_a_store_at_once(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom tests.engine.building import open_store\n"
        "for _ in range(5):\n    with open_store(sys.argv[1]).session():\n        pass\n"
    )
    for attempt in range(4):
        root = str(tmp_path / str(attempt))
        processes = [subprocess.Popen([sys.executable, "-c", program, root]) for _ in range(6)]
        assert [process.wait(60) for process in processes] == [0] * 6
        assert rubbish(open_store(root)) == [[], [], []]


def test_sessions_come_and_go_while_others_look_for_dead_ones(store: Store) -> None:
    problems: list[BaseException] = []

    def come_and_go() -> None:
        try:
            for _ in range(60):
                with open_store(store.layout.root).session() as session:
                    session.pin([Digest("c" * 64)])
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sessions.abandoned(store.layout)
        sessions.pinned(store.layout)
    assert problems == []
    assert rubbish(store) == [[], [], []]


def test_publishing_what_is_there_keeps_the_first(store: Store) -> None:
    target = store.layout.blob(Digest("d" * 64))
    with store.session() as session:
        for content in (b"first", b"second"):
            temporary = session.temporary()
            Path(temporary).write_bytes(content)
            session.publish(temporary, target)
    assert Path(target).read_bytes() == b"first"
    assert os.stat(target).st_mode & 0o777 == 0o444


def test_a_record_is_replaced_whole(store: Store) -> None:
    path = store.layout.path("cache", "recent", "x")
    with store.session() as session:
        session.replace(path, b"old")
    disk = FaultyDisk()
    with open_store(store.layout.root, disk).session() as session:
        disk.at, disk.fault = disk.done + 2, Fault.NO_SPACE  # the write
        with pytest.raises(OSError, match="No space"):
            session.replace(path, b"new")
    assert Path(path).read_bytes() == b"old"


def test_a_folder_with_other_things_in_it_is_not_made_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    message = r"is not empty and not a minidock store \(it holds thesis.txt\)"
    with pytest.raises(StoreUnwritable, match=message), open_store(tmp_path).session():
        pass
    assert os.listdir(tmp_path) == ["thesis.txt"]
