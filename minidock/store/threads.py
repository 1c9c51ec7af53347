"""Work in several threads, which has ended when whoever began it goes on, however often the user presses Ctrl-C."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

_MOST = 4

Item = TypeVar("Item")


class Worker(threading.Thread):
    """A thread that can be waited for again after Ctrl-C: `join`, once interrupted, takes a thread for ended."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__()
        self._work = work
        self._has_begun = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Do the work."""
        self._has_begun = True
        try:
            self._work()
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Wait for the end; one that has not come to its work when that is interrupted may begin later."""
        if self._has_begun:
            self._ended.wait()
        if self.is_alive():
            self.join()


def for_each(act: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Call ``act`` with every item, in as many threads as there are processors, four at most; this one is among them.

    Items are taken in their order. After an exception, in whichever thread, nobody takes another one; it is raised
    when all threads have stopped.
    """
    take = _one_by_one(items)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while not errors and (item := take()) is not None:
                act(item)
        except BaseException as error:
            errors.append(error)

    helpers = [Worker(work) for _ in range(min(len(os.sched_getaffinity(0)), _MOST) - 1)]
    try:
        with suppress(RuntimeError):  # no more threads may be had: those that there are do it all
            for helper in helpers:
                helper.start()
        work()
    except BaseException as error:  # Ctrl-C, between the items
        errors.append(error)
    join_all(helpers, errors.append)
    if errors:
        raise errors[0]


def together(tasks: Sequence[Callable[[], object]], most: int, cancel: Callable[[], object]) -> None:
    """Carry out tasks, ``most`` at a time and in their order, each in another thread; all have ended on return.

    ``cancel`` is to make the tasks end, those that have not begun too: it is called after the first exception and at
    every Ctrl-C. Raises: KeyboardInterrupt, else the first exception of a task.
    """
    take = _one_by_one(tasks)
    errors: list[BaseException] = []

    def work() -> None:
        while (task := take()) is not None:
            try:
                task()
            except BaseException as error:
                errors.append(error)
                cancel()

    def interrupted(error: BaseException) -> None:
        errors.insert(0, error)
        cancel()

    workers = [Worker(work) for _ in range(min(most, len(tasks)))]
    interruptions: list[BaseException] = []
    try:
        for worker in workers:
            worker.start()
    except BaseException as error:
        interruptions.append(error)
    join_all(workers, interrupted, interruptions)
    if errors:
        raise errors[0]


def _one_by_one(items: Iterable[Item]) -> Callable[[], Item | None]:
    """Return what gives the next item to whichever thread asks, None after the last."""
    pending = iter(items)
    taking = threading.Lock()

    def take() -> Item | None:
        with taking:
            return next(pending, None)

    return take


def join_all(
    workers: Iterable[Worker], interrupted: Callable[[BaseException], object], earlier: Iterable[BaseException] = ()
) -> None:
    """Wait until all have ended; ``interrupted`` is told at once of Ctrl-C, which does not end the waiting.

    It is told of those that were ``earlier``, too, and again if Ctrl-C interrupts itself.
    """
    pending, untold = list(workers), list(earlier)
    while pending or untold:
        try:
            while untold:
                interrupted(untold.pop())
            if pending:
                pending[-1].wait()
                pending.pop()
        except BaseException as error:
            untold.append(error)
