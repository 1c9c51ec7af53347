"""One kind of work in several threads: to make files is the kernel's work, and meanwhile other threads go on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

_MOST = 4

Item = TypeVar("Item")


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

    helpers = [threading.Thread(target=work) for _ in range(min(len(os.sched_getaffinity(0)), _MOST) - 1)]
    try:
        with suppress(RuntimeError):  # no more threads may be had: those that there are do it all
            for helper in helpers:
                helper.start()
        work()
    except BaseException as error:  # Ctrl-C, between the items
        errors.append(error)
    while any(helper.is_alive() for helper in helpers):
        try:
            for helper in filter(threading.Thread.is_alive, helpers):
                helper.join()
        except BaseException as error:  # Ctrl-C: what they do now is still waited for
            errors.append(error)
    if errors:
        raise errors[0]
