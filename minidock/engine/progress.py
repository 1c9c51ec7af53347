"""Numbers the steps of a build in order of appearance and tells an observer how they go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.events import (
    BuildWarning,
    Event,
    Observer,
    StepCached,
    StepCanceled,
    StepDone,
    StepError,
    StepOutput,
    StepProgress,
    StepReason,
    StepStarted,
    StepStatus,
)
from minidock.engine.side_by_side import Cancelled
from minidock.store.layer_writer import ContentChanged


class Progress:
    """The reporter of one build."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._lock = threading.Lock()  # stages are built side by side
        self._count = 0
        self._warned: set[str] = set()

    def observe(self, event: Event) -> None:
        """Tell the observer; of several threads one at a time."""
        with self._lock:
            self._observer(event)

    def warn(self, text: str) -> None:
        """Tell something doubtful, once in a build however often it is found."""
        with self._lock:
            is_known = text in self._warned
            self._warned.add(text)
        if not is_known:
            self.observe(BuildWarning(text))

    def start(self, name: str) -> Step:
        """Begin a step."""
        with self._lock:
            self._count += 1
            number = self._count
            self._observer(StepStarted(number, name))
        return Step(number, name, self.observe, time.monotonic())

    @contextmanager
    def internal(self, name: str) -> Iterator[Step]:
        """Begin a step that makes no image, and end it with the block."""
        step = self.start(name)
        with step.failing():
            yield step
        step.done(None)


@dataclass(frozen=True, slots=True)
class Step:
    """One step under way; ended once, by `cached`, `done` or `failing`."""

    number: int
    name: str
    observe: Observer
    started: float

    def status(self, text: str) -> None:
        """Tell something that was done."""
        self.observe(StepStatus(self.number, text))

    def progress(self, item: str, text: str, done: int, total: int) -> None:
        """Tell how far a layer is, in bytes."""
        self.observe(StepProgress(self.number, item, text, done, total))

    def output(self, line: str) -> None:
        """Pass on a line that the step's process printed."""
        self.observe(StepOutput(self.number, time.monotonic() - self.started, line))

    def reason(self, line: str) -> None:
        """Tell why the step could not come from the cache."""
        self.observe(StepReason(self.number, line))

    def cached(self, image_id: Digest | None) -> None:
        """End the step: an earlier build made its result."""
        self.observe(StepCached(self.number, image_id))

    def done(self, image_id: Digest | None) -> None:
        """End the step."""
        self.observe(StepDone(self.number, time.monotonic() - self.started, image_id))

    @contextmanager
    def failing(self) -> Iterator[None]:
        """End the step with an error if the block raises one; a file that changed meanwhile is tried again."""
        try:
            yield
        except ContentChanged:
            raise
        except Cancelled:
            self.observe(StepCanceled(self.number))
            raise
        except Exception as error:
            self.observe(StepError(self.number, str(error)))
            raise
