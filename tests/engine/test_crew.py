"""Transfers side by side: what ends one of them ends all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from minidock.engine.crew import Cancelled, Crew


class _Interrupted(list[Callable[[], None]]):
    """Tasks after the first of which somebody presses Ctrl-C."""

    def __iter__(self) -> Iterator[Callable[[], None]]:
        yield self[0]
        raise KeyboardInterrupt


def test_an_interrupt_while_transfers_are_begun_ends_those_that_run() -> None:
    stopped = threading.Event()
    crew = Crew(stopped.set)
    seen: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        crew.run(_Interrupted([lambda: seen.append(stopped.wait(5))]))
    assert seen == [True]
    with pytest.raises(Cancelled):
        crew.check()


def test_the_first_that_fails_is_told_and_ends_the_others() -> None:
    stopped = threading.Event()

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        Crew(stopped.set).run([lambda: None if stopped.wait(5) else fail(), fail])
    assert stopped.is_set()


def test_transfers_that_go_well_stop_nothing() -> None:
    stopped = threading.Event()
    done: list[int] = []
    Crew(stopped.set).run([lambda: done.append(1), lambda: done.append(2)])
    assert (sorted(done), stopped.is_set()) == ([1, 2], False)
