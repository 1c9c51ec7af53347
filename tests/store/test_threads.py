"""`for_each`: every item once, and what becomes of errors."""

from __future__ import annotations

import os
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


def test_nothing_to_do_is_done() -> None:
    for_each(pytest.fail, ())
