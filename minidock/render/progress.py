"""What a build shows while it runs: BuildKit's plain progress, and two kinds of lines of our own.

One step looks like this (``image`` and ``why`` are ours)::

    #7 [3/4] RUN make
    #7 why: the command was `make all`
    #7 0.342 cc -o app app.c
    #7 image sha256:3ccc9e9f22ff
    #7 DONE 0.4s

Source: docker buildx, `--progress=plain`, as seen from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self, TextIO

from minidock.core.digest import Digest
from minidock.core.events import (
    BuildWarning,
    Event,
    StepCached,
    StepCanceled,
    StepDone,
    StepError,
    StepOutput,
    StepReason,
    StepStarted,
    StepStatus,
    StoreWaiting,
)


class Kind(StrEnum):
    """The values of ``--progress``."""

    AUTO = "auto"
    NONE = "none"
    PLAIN = "plain"
    QUIET = "quiet"
    RAW_JSON = "rawjson"
    TTY = "tty"


class QuietProgress:
    """An observer that shows nothing; what goes wrong is shown with the error."""

    def __call__(self, event: Event) -> None:
        """Ignore ``event``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        pass


class PlainProgress:
    """An observer that writes lines to ``stream``; as a context manager it ends with the list of warnings."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._names: dict[int, str] = {}
        self._current: int | None = None
        self._unfinished: set[int] = set()
        self._warnings: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stream.write(warnings_text(self._warnings))
        self._stream.flush()

    def __call__(self, event: Event) -> None:
        """Write the lines that tell of ``event``."""
        match event:
            case StepStarted(number, name):
                self._names[number] = name
                self._write(number)
            case StepStatus(number, text):
                self._write(number, text)
            case StepReason(number, text):
                self._write(number, f"why: {text}")
            case StepOutput(number, seconds, line):
                self._write(number, f"{stamp(seconds)} {line}")
            case StepCached(number, image_id):
                self._end(number, "CACHED", image_id)
            case StepDone(number, seconds, image_id):
                self._end(number, f"DONE {seconds:.1f}s", image_id)
            case StepCanceled(number):
                self._end(number, "CANCELED", None)
            case StepError(number, text):
                self._end(number, f"ERROR: {text}", None)
            case BuildWarning(text, line):
                self._warn(f"{text} (line {line})" if line else text)
            case StoreWaiting(text):
                self._stream.write(f"minidock: {text}\n")
        self._stream.flush()

    def _write(self, number: int, text: str | None = None) -> None:
        """Write ``text`` under the heading of step ``number``, which comes again if another step was in between."""
        if number != self._current:
            if self._current in self._unfinished:
                self._stream.write(f"#{self._current} ...\n")
            if self._current is not None:
                self._stream.write("\n")
            self._stream.write(f"#{number} {self._names.get(number, '')}".rstrip() + "\n")
            self._current = number
            self._unfinished.add(number)
        if text is not None:
            self._stream.write(f"#{number} {text}\n")

    def _end(self, number: int, text: str, image_id: Digest | None) -> None:
        if image_id is not None:
            self._write(number, f"image sha256:{image_id.short}")
        self._write(number, text)
        self._unfinished.discard(number)

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        if self._current in self._unfinished:
            self._stream.write(f"#{self._current} WARN: {text}\n")


def warnings_text(warnings: Sequence[str]) -> str:
    """Return the list of warnings that a build ends with, nothing if there are none."""
    if not warnings:
        return ""
    plural = "" if len(warnings) == 1 else "s"
    return f"\n {len(warnings)} warning{plural} found:\n" + "".join(f" - {text}\n" for text in warnings)


def stamp(seconds: float) -> str:
    """Return the time of a line of output: three decimals below ten seconds, then two, then one."""
    for limit, digits in ((10, 3), (100, 2)):
        if seconds < limit:
            return f"{seconds:.{digits}f}"
    return f"{seconds:.1f}"


class Observing(Protocol):
    """An observer of a build that begins and ends with it."""

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def progress(kind: Kind, stream: TextIO) -> Observing:
    """Return the observer that ``--progress`` asks for; `auto` is live on a terminal that can be drawn on."""
    if kind in (Kind.QUIET, Kind.NONE):
        return QuietProgress()
    if kind is Kind.RAW_JSON:
        from minidock.render.raw_json import RawJsonProgress

        return RawJsonProgress(stream)
    if kind is Kind.TTY or (kind is Kind.AUTO and stream.isatty()):
        from minidock.render.live import LiveProgress  # rich takes longer to load than most builds to find their cache

        return LiveProgress(stream)
    return PlainProgress(stream)
