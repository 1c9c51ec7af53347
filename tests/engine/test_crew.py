"""Transfers side by side: what ends one of them ends all."""

from __future__ import annotations

import threading

import pytest

from minidock.engine.crew import Crew


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
