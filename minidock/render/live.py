"""A build on a terminal: one line per step with its time, the latest lines of those that run; a record afterwards.

::

    [+] Building 2.4s (5/6)
     => [internal] load build definition from Dockerfile                    0.0s
     => => transferring dockerfile: 98B done
     => CACHED [1/3] FROM docker.io/library/base:1                          0.0s
     => [2/3] RUN make                                                      1.9s
     => => why: the command was `make all`
     => => # cc -o app app.c

What is drawn while the build runs is wiped when it ends, and written once more whole: scrolled back it reads like a
log. Source: docker buildx, ``--progress=tty``, as seen from outside.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import field
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from minidock.core.dataclass import dataclass
from minidock.core.events import (
    BuildWarning,
    Event,
    StepCached,
    StepCanceled,
    StepDone,
    StepError,
    StepOutput,
    StepProgress,
    StepReason,
    StepStarted,
    StepStatus,
    StoreWaiting,
)
from minidock.render.meter import Meter
from minidock.render.progress import warnings_text

_SHOWN_LINES = 6
_REFRESHES = 10  # a second
_TIME_WIDTH = 8


@dataclass(slots=True)
class _Step:
    """What is known of a step; ``ended`` is how many seconds it took, None while it runs."""

    name: str
    started: float
    mark: str = ""
    style: str = ""
    ended: float | None = None
    notes: list[str] = field(default_factory=list)
    moving: dict[str, str] = field(default_factory=dict)  # how far layers are, by their names
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_SHOWN_LINES))


class LiveProgress:
    """An observer that draws on the terminal ``stream``; ``clock`` gives seconds that never go back."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._clock = clock
        self._begun = clock()
        self._lock = threading.Lock()
        self._steps: dict[int, _Step] = {}
        self._warnings: list[str] = []
        self._waiting = ""
        self._meter = Meter()
        self._live = Live(
            console=self._console, get_renderable=self._screen, refresh_per_second=_REFRESHES, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._live.stop()
        for row in [self._head(), *(row for step in self._steps.values() for row in self._step_rows(step))]:
            self._console.print(row, no_wrap=True, overflow="ellipsis", crop=True)
        self._console.file.write(warnings_text(self._warnings))
        self._console.file.flush()

    def __call__(self, event: Event) -> None:
        """Take in what ``event`` tells; it is drawn with the next refresh."""
        with self._lock:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case StepStarted(number, name):
                self._waiting = ""
                self._steps[number] = _Step(name, self._clock())
            case StepStatus(number, text):
                self._steps[number].notes.append(text)
                for item in [item for item in self._steps[number].moving if f"{item}:" in text]:
                    del self._steps[number].moving[item]
            case StepProgress(number, item, text, done, total):
                told = self._meter.text(item, text, done, total, self._clock())
                self._steps[number].moving[item] = f"{item}: {told}"
            case StepReason(number, text):
                self._steps[number].notes.append(f"why: {text}")
            case StepOutput(number, _, line):
                self._steps[number].lines.append(line)
            case StepCached(number):
                self._end(number, "CACHED ", "cyan", 0.0)
            case StepDone(number, seconds):
                self._end(number, "", "cyan", seconds)
            case StepCanceled(number):
                self._end(number, "CANCELED ", "yellow", None)
            case StepError(number):
                self._end(number, "ERROR ", "red", None)
            case BuildWarning(text, line):
                self._warnings.append(f"{text} (line {line})" if line else text)
            case StoreWaiting(text):
                self._waiting = text

    def _end(self, number: int, mark: str, style: str, seconds: float | None) -> None:
        step = self._steps[number]
        step.mark, step.style = mark, style
        step.ended = self._clock() - step.started if seconds is None else seconds

    def _screen(self) -> Group:
        """Return what is drawn now.

        If not all fits, the steps that ended first are left out, and those that run show fewer lines each: a line
        stands below the name of its step.
        """
        with self._lock:
            waiting = [_row(f" => {self._waiting}", "yellow")] if self._waiting else []
            room = max(self._console.size.height - 1, 3) - 1 - len(waiting)
            shown = self._fitting(room)
            steps = [(step, self._step_rows(step, shown)) for step in self._steps.values()]
            surplus = sum(len(rows) for _, rows in steps) - room
            drawn: list[Text] = []
            for step, rows in steps:
                if step.ended is None or surplus <= 0:
                    drawn += rows
                else:
                    surplus -= len(rows)
            return Group(self._head(), *drawn[max(surplus, 0) :], *waiting)

    def _fitting(self, room: int) -> int:
        """Return how many lines of each running step fit into ``room`` rows."""
        running = [step for step in self._steps.values() if step.ended is None]
        most = max((len(step.moving) + len(step.lines) for step in running), default=0)
        needed = (sum(len(self._step_rows(step, shown)) for step in running) for shown in range(most, 0, -1))
        return next((most - number for number, rows in enumerate(needed) if rows <= room), 0)

    def _head(self) -> Text:
        done = sum(step.ended is not None for step in self._steps.values())
        return _row(f"[+] Building {self._clock() - self._begun:.1f}s ({done}/{len(self._steps)})")

    def _step_rows(self, step: _Step, shown: int = 0) -> list[Text]:
        """Return the name of a step, its notes and, while it runs, the last ``shown`` lines."""
        seconds = f"{self._clock() - step.started if step.ended is None else step.ended:.1f}s"
        width = max(self._console.width - _TIME_WIDTH - 1, 20)
        name = Text(f" => {step.mark}{_one_line(step.name)}")
        name.truncate(width, overflow="ellipsis", pad=True)
        rows = [Text.assemble((name.plain, step.style), seconds.rjust(_TIME_WIDTH), no_wrap=True)]
        rows += [_row(f" => => {_one_line(note)}", step.style) for note in step.notes]
        if step.ended is None and shown:
            moving = [_row(f" => => {line}") for line in step.moving.values()]
            rows += [*moving, *(_row(f" => => # {_printable(line)}", "dim") for line in step.lines)][-shown:]
        return rows


def _row(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _one_line(text: str) -> str:
    return _printable(" ".join(text.split()))


def _printable(line: str) -> str:
    """Return a line of output without what would move the cursor: the last of what was written over, no colours."""
    last = line.rstrip("\r").rpartition("\r")[2]
    plain = Text.from_ansi(last.expandtabs()).plain
    return "".join(character for character in plain if character.isprintable())
