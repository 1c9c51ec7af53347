"""Locks between processes: who waits for whom, and what becomes of a lock whose holder dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from minidock.store.layout import Layout
from minidock.store.locks import Locks, is_locked, open_lock, try_lock
from minidock.store.writer import Disk

_PRELUDE = """
import sys, time
from minidock.store.layout import Layout
from minidock.store.locks import Locks
from minidock.store.writer import Disk
locks = Locks(Layout(sys.argv[1]), Disk())
"""
_HOLD = (
    _PRELUDE
    + """
with getattr(locks, sys.argv[2])(*sys.argv[3:]):
    print("held", flush=True)
    time.sleep(60)
"""
)
_RENEW = (
    _PRELUDE
    + """
print("held", flush=True)
while True:
    with locks.shared_gc():
        time.sleep(0.01)
"""
)
_PATIENCE = 10.0


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "locks" / "key").mkdir(parents=True)
    return Layout(str(tmp_path))


def start(program: str, layout: Layout, *words: str) -> subprocess.Popen[bytes]:
    """Start a process and return once it holds its lock."""
    process = subprocess.Popen([sys.executable, "-c", program, layout.root, *words], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def taken(locks: Locks, name: str, *words: str) -> threading.Event:
    """Take a lock in a thread; the event is set once it was held."""
    was_held = threading.Event()

    def take() -> None:
        with getattr(locks, name)(*words):
            was_held.set()

    threading.Thread(target=take, daemon=True).start()
    return was_held


@pytest.mark.parametrize(
    ("held", "wanted", "is_free"),
    [
        (["shared_gc"], ["shared_gc"], True),
        (["shared_gc"], ["exclusive_gc"], False),
        (["exclusive_gc"], ["shared_gc"], False),
        (["exclusive_gc"], ["exclusive_gc"], False),
        (["index"], ["index"], False),
        (["index"], ["exclusive_gc"], True),
        (["names"], ["names"], False),
        (["key", "ab", "a step"], ["key", "ab", "a step"], False),
        (["key", "ab", "a step"], ["key", "cd", "a step"], True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_who_excludes_whom_until_the_holder_is_killed(
    layout: Layout, held: list[str], wanted: list[str], is_free: bool
) -> None:
    holder = start(_HOLD, layout, *held)
    event = taken(Locks(layout, Disk()), *wanted)
    try:
        assert event.wait(_PATIENCE if is_free else 0.3) == is_free
    finally:
        holder.send_signal(signal.SIGKILL)
        end(holder)
    assert event.wait(_PATIENCE), "the lock of a dead process is free"


def test_readers_that_keep_renewing_do_not_starve_a_collector(layout: Layout) -> None:
    readers = [start(_RENEW, layout) for _ in range(3)]
    try:
        started = time.monotonic()
        assert taken(Locks(layout, Disk()), "exclusive_gc").wait(_PATIENCE)
        assert time.monotonic() - started < 5
    finally:
        for reader in readers:
            end(reader)


def test_a_wait_is_told_after_a_second(layout: Layout) -> None:
    said: list[str] = []
    holder = start(_HOLD, layout, "key", "ab", "x")
    event = taken(Locks(layout, Disk(), said.append), "key", "ab", "another minidock that builds it")
    try:
        assert not event.wait(0.5)
        assert said == []
        until = time.monotonic() + _PATIENCE
        while not said and time.monotonic() < until:
            time.sleep(0.02)
        assert said == ["another minidock that builds it"]
    finally:
        end(holder)
    assert event.wait(_PATIENCE)


def test_a_key_leaves_no_file_and_whoever_waited_is_alone(layout: Layout) -> None:
    locks = Locks(layout, Disk())
    inside, most = [0], [0]
    guard = threading.Lock()

    def work() -> None:
        for _ in range(30):
            with Locks(layout, Disk()).key("ab", "x"):
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                with guard:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1]
    with locks.key("ab", "x"):
        pass
    assert os.listdir(layout.path("locks", "key")) == []


def test_a_key_is_never_waited_for_while_the_collector_is_held(layout: Layout) -> None:
    locks = Locks(layout, Disk())
    with locks.shared_gc(), pytest.raises(AssertionError), locks.key("ab", "x"):
        pass


def test_a_lock_does_not_reach_programs_that_are_started(layout: Layout) -> None:
    path = layout.path("locks", "x")
    fd = open_lock(path)
    assert try_lock(fd)
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert is_locked(path)
        os.close(fd)
        assert not is_locked(path)
    finally:
        child.kill()
        child.wait()
    assert not is_locked(layout.path("locks", "nosuch"))
