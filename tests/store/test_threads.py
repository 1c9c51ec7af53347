"""`for_each`: every item once, and what becomes of errors."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from minidock.store.threads import for_each


def test_every_item_is_met_once() -> None:
    met: list[int] = []
    for_each(met.append, range(1000))
    assert sorted(met) == list(range(1000))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one processor, one thread")
def test_several_items_are_worked_on_at_a_time() -> None:
    both = threading.Barrier(2, timeout=30)  # passes only when two are there
    for_each(lambda _: both.wait(), range(2))


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_ends_it_when_all_threads_have_stopped(kind: type[BaseException]) -> None:
    met: list[int] = []

    def act(item: int) -> None:
        if item == 10:
            raise kind("ten")
        met.append(item)

    threads = threading.active_count()
    with pytest.raises(kind, match=r"^ten$"):
        for_each(act, range(100_000))
    assert threading.active_count() == threads
    assert len(met) < 100_000


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one processor, one thread")
def test_an_interrupt_waits_for_what_others_do_now() -> None:
    main, both = threading.get_ident(), threading.Barrier(2, timeout=30)
    released, ended = threading.Event(), threading.Event()
    interrupt = threading.Timer(0.1, lambda: signal.pthread_kill(main, signal.SIGINT))
    release = threading.Timer(0.3, released.set)

    def act(_: int) -> None:
        both.wait()
        if threading.get_ident() != main:
            released.wait(30)
            ended.set()

    interrupt.start()
    release.start()
    with pytest.raises(KeyboardInterrupt):
        for_each(act, range(2))
    assert ended.is_set()
    release.join()


def test_nothing_to_do_is_done() -> None:
    for_each(pytest.fail, ())
