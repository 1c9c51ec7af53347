"""The stages of a build, side by side: each goes on until it needs one that is not there yet.

The first failure ends the others: their processes are killed, and no step of theirs begins any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Generic, TypeVar

from minidock.runtime.base import Handle
from minidock.store.threads import together

_MOST_THREADS = 16
_SIGKILL = 9

State = TypeVar("State")


class Cancelled(Exception):
    """This stage is not needed any more: another one has failed. Never seen outside of a build."""


class Cancellation:
    """Whether a build goes on, and the processes to end if it does not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._handles: list[Handle] = []

    def check(self) -> None:
        """Do nothing as long as the build goes on. Raises: Cancelled."""
        if self._is_cancelled:
            raise Cancelled

    @contextmanager
    def watching(self, handle: Handle) -> Iterator[None]:
        """Have a process killed if the build ends while the block runs."""
        with self._lock:
            self._handles.append(handle)
            is_late = self._is_cancelled
        if is_late:
            handle.kill(_SIGKILL)
        try:
            yield
        finally:
            with self._lock:
                self._handles.remove(handle)

    def cancel(self) -> None:
        """End the build: kill what runs, let nothing begin."""
        with self._lock:
            self._is_cancelled = True
            for handle in self._handles:
                handle.kill(_SIGKILL)


class Stages(Generic[State]):
    """Builds stages; ``build`` is given the number of one and may ask for the `state` of earlier ones."""

    def __init__(self, build: Callable[[int], State], cancellation: Cancellation) -> None:
        self._build = build
        self._cancellation = cancellation
        self._futures: dict[int, Future[State]] = {}

    def run(self, wanted: Sequence[int], most_threads: int | None = None) -> None:
        """Build the stages ``wanted``, in file order. Raises: what the first one that fails raises."""
        self._futures = {index: Future() for index in wanted}
        if len(wanted) == 1:
            self._carry_out(wanted[0])
            self._futures[wanted[0]].result()
            return
        # Threads take stages in file order, and a stage needs earlier ones only: with few threads too somebody goes on.
        tasks = [partial(self._carry_out, index) for index in wanted]
        together(tasks, most_threads or _MOST_THREADS, self._cancellation.cancel)
        self._raise_first()

    def state(self, index: int) -> State:
        """Return what a stage has become, waiting for it. Raises: Cancelled if it fails."""
        future = self._futures[index]
        if future.exception() is not None:
            raise Cancelled
        return future.result()

    def _carry_out(self, index: int) -> None:
        future = self._futures[index]
        try:
            self._cancellation.check()
            future.set_result(self._build(index))
        except BaseException as error:
            future.set_exception(error)
            self._cancellation.cancel()

    def _raise_first(self) -> None:
        errors = [future.exception() for future in self._futures.values()]
        real = [error for error in errors if error is not None and not isinstance(error, Cancelled)]
        if real:
            raise real[0]
