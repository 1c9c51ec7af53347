"""What a container has printed, and what it goes on to print."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC

from minidock.core.moments import moment_text
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest
from minidock.store.container_log import LogReader

_PAUSE = 0.05

# Time, stream and bytes of (a part of) a line.
Part = tuple[str, str, bytes]


def logs(
    ws: Workspace,
    name: str,
    *,
    follows: bool = False,
    last: int | None = None,
    since: int | None = None,
    until: int | None = None,
    has_times: bool = False,
    has_details: bool = False,
) -> Iterator[tuple[str, bytes]]:
    """Yield (stream, bytes) of what a container printed, of the ``last`` lines only if that is given.

    ``since`` and ``until`` are nanoseconds since 1970. ``follows`` waits for more until the container ends, or until
    ``until``. Lines have their time in front, and details (of which there are none, but for the blank that ends them),
    if asked for. Raises: NoSuchContainer, InvalidRequest.
    """
    container = ws.store.containers.find(name)
    if not container.record.has_log:
        why = (
            "" if container.record.lifecycle.log_driver else "with --rm in the foreground one is kept with --log-driver"
        )
        raise InvalidRequest("configured logging driver does not support reading", hint=why or None)
    within = _Span(since, until)
    reader = LogReader(ws.store.containers.path(container.id, "log"))
    is_watched = ws.store.containers.is_watched(container.id)  # asked first: what is read then is the rest
    lines = [line for line in _lines(reader.entries()) if within.holds(line)]
    lines = lines if last is None else lines[max(0, len(lines) - last) :]
    begun: set[str] = set()
    yield from _stamped(lines, begun, has_times=has_times, has_details=has_details)
    while follows and is_watched and (until is None or time.time_ns() < until):
        time.sleep(_PAUSE)
        is_watched = ws.store.containers.is_watched(container.id)
        parts = [part for part in reader.entries() if within.holds(part)]
        yield from _stamped(parts, begun, has_times=has_times, has_details=has_details)


class _Span:
    """A span of time, open where there is None; the times of a log can be compared as text."""

    def __init__(self, since: int | None, until: int | None) -> None:
        self._since = "" if since is None else moment_text(since, UTC)
        self._until = "9" if until is None else moment_text(until, UTC)

    def holds(self, part: Part) -> bool:
        """Whether something was printed in this time."""
        return self._since <= part[0] <= self._until


def _lines(parts: Iterator[Part]) -> list[Part]:
    """Return the parts put together to lines, each with the time of its end, in the order of those; open ones last."""
    lines: list[Part] = []
    begun: dict[str, Part] = {}
    for moment, stream, data in parts:
        whole = begun.pop(stream)[2] + data if stream in begun else data
        if data.endswith(b"\n"):
            lines.append((moment, stream, whole))
        else:
            begun[stream] = (moment, stream, whole)
    return [*lines, *begun.values()]


def _stamped(parts: list[Part], begun: set[str], *, has_times: bool, has_details: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the parts, each line with what stands in front of it; ``begun`` are the streams in the middle of one."""
    for moment, stream, data in parts:
        is_start = stream not in begun
        (begun.discard if data.endswith(b"\n") else begun.add)(stream)
        head = (moment.encode() + b" " if has_times else b"") + (b" " if has_details else b"")
        yield stream, head + data if is_start else data
