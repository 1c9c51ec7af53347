"""The progress of a build as JSON lines, as BuildKit's clients write them: vertexes, statuses, logs, warnings.

Source: moby/buildkit, client/graph.go (`SolveStatus`); docker buildx, ``--progress=rawjson``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TextIO

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
from minidock.core.times import format_time

_STDOUT = 1


class RawJsonProgress:
    """An observer that writes to ``stream``; ``now`` gives the time, aware, UTC."""

    def __init__(self, stream: TextIO, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._stream = stream
        self._now = now
        self._vertexes: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        pass

    def __call__(self, event: Event) -> None:
        """Write the line that tells of ``event``."""
        match event:
            case StepStarted(number, name):
                digest = str(Digest.sha256(f"{number} {name}".encode("utf-8", "surrogateescape")))
                self._vertexes[number] = {"digest": digest, "name": name, "started": self._time()}
                self._write("vertexes", self._vertexes[number])
            case StepStatus(number, text):
                self._status(number, text)
            case StepReason(number, text):
                self._status(number, f"why: {text}")
            case StepOutput(number, _, line):
                log = {"vertex": self._digest(number), "stream": _STDOUT, "data": _encoded(f"{line}\n")}
                self._write("logs", {**log, "timestamp": self._time()})
            case StepCached(number):
                self._end(number, cached=True)
            case StepDone(number):
                self._end(number)
            case StepCanceled(number):
                self._end(number, error="context canceled")
            case StepError(number, text):
                self._end(number, error=text)
            case BuildWarning(text, line):
                place = {"range": [{"start": {"line": line}, "end": {"line": line}}]} if line else {}
                self._write("warnings", {"level": 1, "short": _encoded(text), **place})
            case StoreWaiting(text):
                self._write("warnings", {"level": 1, "short": _encoded(text)})

    def _status(self, number: int, text: str) -> None:
        now = self._time()
        times = {"timestamp": now, "started": now, "completed": now}
        self._write("statuses", {"id": text, "vertex": self._digest(number), "current": 0, **times})

    def _end(self, number: int, **members: Any) -> None:
        self._write("vertexes", {**self._vertexes[number], "completed": self._time(), **members})

    def _digest(self, number: int) -> str:
        return str(self._vertexes[number]["digest"])

    def _time(self) -> str:
        return format_time(self._now())

    def _write(self, kind: str, members: dict[str, Any]) -> None:
        self._stream.write(json.dumps({kind: [members]}, separators=(",", ":")) + "\n")
        self._stream.flush()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")
