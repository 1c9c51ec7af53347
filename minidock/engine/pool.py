"""Threads whose work is over when the block that made them is: also if Ctrl-C comes again while that is waited for.

The standard library's pool joins its threads; `Thread.join`, once interrupted, takes a thread that still runs for
ended, and what it writes would be removed under its hands.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from minidock.store.threads import Worker, join_all

Result = TypeVar("Result")


class Pool:
    """At most ``most`` threads, which carry out what is submitted in its order; the end of the block waits for all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._workers: list[Worker] = []
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        interruptions: list[BaseException] = []
        ends = 0
        while ends < len(self._workers):
            try:
                self._calls.put(None)
                ends += 1  # if Ctrl-C comes before, one more than there are threads does no harm
            except KeyboardInterrupt as error:
                interruptions.append(error)
        join_all(self._workers, interruptions.append)
        if interruptions:
            raise interruptions[0]

    def submit(self, call: Callable[..., Result], *args: Any) -> Future[Result]:
        """Have ``call`` carried out in a thread."""
        future: Future[Result] = Future()
        self._calls.put(lambda: _carry_out(future, call, args))
        if len(self._workers) < self._most:
            self._workers.append(Worker(self._work))
            self._workers[-1].start()
        return future

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _carry_out(future: Future[Result], call: Callable[..., Result], args: tuple[Any, ...]) -> None:
    try:
        result = call(*args)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
