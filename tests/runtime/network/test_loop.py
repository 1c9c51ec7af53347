"""The loop of the relay: whom it calls, and when."""

from __future__ import annotations

import os

from minidock.runtime.network.loop import IN, Loop


def test_nobody_gets_the_events_of_a_descriptor_that_had_its_number_before() -> None:
    loop = Loop()
    first, second = (os.pipe() for _ in range(2))
    called: list[str] = []

    def replace(closed: tuple[int, int]) -> None:
        """Close what else has an event in this turn, and watch something new under the same number."""
        called.append("first")
        number = closed[0]
        loop.forget(number)
        os.close(number)
        assert os.dup2(quiet[0], number) == number
        loop.want(number, IN, lambda events: called.append("stale"))
        for one in (first, second):
            if one is not closed:
                os.read(one[0], 1)

    quiet = os.pipe()
    loop.want(first[0], IN, lambda events: replace(second))
    loop.want(second[0], IN, lambda events: replace(first))
    os.write(first[1], b"x")
    os.write(second[1], b"x")
    assert loop.turn(0)
    assert not loop.turn(0)
    assert called == ["first"]
    os.write(quiet[1], b"x")
    assert loop.turn(0)
    assert called == ["first", "stale"]  # now it is its own
    for fd in {*first, *second, *quiet}:
        os.close(fd)


def test_a_descriptor_of_which_nothing_is_wanted_does_not_wake_the_loop() -> None:
    loop = Loop()
    read_end, write_end = os.pipe()
    called: list[int] = []
    loop.want(read_end, IN, called.append)
    os.close(write_end)
    assert loop.turn(0)
    loop.want(read_end, 0, called.append)
    assert not loop.turn(0)
    loop.want(read_end, IN, called.append)
    assert loop.turn(0)
    assert len(called) == 2
    loop.forget(read_end)
    os.close(read_end)


def test_timers_come_once() -> None:
    loop = Loop()
    called: list[str] = []
    loop.after(0.01, lambda: called.append("a"))
    loop.turn(5)
    assert not loop.turn(0)
    assert called == ["a"]
