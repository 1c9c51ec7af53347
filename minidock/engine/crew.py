"""Transfers of layers side by side, and what is told of one that has to be tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from minidock.core.transfers import Transfer, TransferNote, TransferObserver, TransferProgress, TransferState
from minidock.store.threads import together

if TYPE_CHECKING:
    from minidock.engine.progress import Step  # of builds: a push or pull does without

AT_ONCE = 3
RETRYING = "Retrying in "
_SHORTEST = 1.0  # seconds of a pause that is told


class Cancelled(Exception):
    """This transfer is not needed any more: another one has failed, or the user wants no more. Never seen outside."""


class Crew:
    """Transfers side by side; the first that fails, or Ctrl-C, ends the others. ``stop`` wakes those that wait."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._is_over = threading.Event()

    def check(self) -> None:
        """Do nothing as long as the transfers go on. Raises: Cancelled."""
        if self._is_over.is_set():
            raise Cancelled

    def run(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Carry out all tasks. Raises: what the first of them that fails raises."""
        together([partial(self._guarded, task) for task in tasks], AT_ONCE, self._end)

    def _end(self) -> None:
        self._is_over.set()
        self._stop()

    def _guarded(self, task: Callable[[], None]) -> None:
        self.check()
        try:
            task()
        except Exception:
            self.check()  # what breaks after the end breaks because of it
            raise


def tell_retries(observer: TransferObserver, item: str = "") -> Callable[[float], None]:
    """Return what tells, in docker's words, that a layer waits for another try; without ``item`` the whole does."""

    def retrying(seconds: float) -> None:
        if seconds >= _SHORTEST:
            whole = round(seconds)
            text = f"{RETRYING}{whole} second{'s' if whole > 1 else ''}"
            observer(TransferState(item, text) if item else TransferNote(text))

    return retrying


def tell_layers(step: Step) -> TransferObserver:
    """Return what tells in a step of a build what became of layers."""

    def tell(event: Transfer) -> None:
        match event:
            case TransferState(item, text, is_last=True):
                step.status(f"layer {item}: {text}")
            case TransferProgress(item, text, done, total):
                step.progress(item, text, done, total)

    return tell
