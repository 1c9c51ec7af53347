"""One kind of work in several threads: to make files is the kernel's work, and meanwhile other threads go on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
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
    pending = iter(items)
    taking = threading.Lock()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while not errors:
                with taking:
                    item = next(pending, None)
                if item is None:
                    return
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


def join_all(workers: Iterable[Worker], interrupted: Callable[[BaseException], object]) -> None:
    """Wait until all have ended; ``interrupted`` is told at once of Ctrl-C, which does not end the waiting."""
    pending = list(workers)
    while pending:
        try:
            pending[-1].wait()
            pending.pop()
        except BaseException as error:
            interrupted(error)
