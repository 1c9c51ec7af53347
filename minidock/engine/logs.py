"""What a container has printed, and what it goes on to print."""

from __future__ import annotations

import time
from collections.abc import Iterator

from minidock.engine.workspace import Workspace
from minidock.store.container_log import LogReader

_PAUSE = 0.05

# Time, stream and bytes of (a part of) a line.
Part = tuple[str, str, bytes]


def logs(
    ws: Workspace, name: str, *, follows: bool = False, last: int | None = None, has_times: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Yield (stream, bytes) of what a container printed, of the ``last`` lines only if that is given.

    ``follows`` waits for more until the container ends. Raises: NoSuchContainer.
    """
    container = ws.store.containers.find(name)
    reader = LogReader(ws.store.containers.path(container.id, "log"))
    is_watched = ws.store.containers.is_watched(container.id)  # asked first: what is read then is the rest
    lines = _lines(reader.entries())
    lines = lines if last is None else lines[max(0, len(lines) - last) :]
    begun: set[str] = set()
    yield from _stamped(lines, begun, has_times=has_times)
    while follows and is_watched:
        time.sleep(_PAUSE)
        is_watched = ws.store.containers.is_watched(container.id)
        yield from _stamped(reader.entries(), begun, has_times=has_times)


def _lines(parts: Iterator[Part]) -> list[Part]:
    """Return the parts put together to lines, each with the time of its first part, in the order of those."""
    lines: list[Part] = []
    begun: dict[str, int] = {}
    for moment, stream, data in parts:
        if stream in begun:
            position = begun[stream]
            lines[position] = (*lines[position][:2], lines[position][2] + data)
        else:
            begun[stream] = len(lines)
            lines.append((moment, stream, data))
        if data.endswith(b"\n"):
            del begun[stream]
    return lines


def _stamped(parts: Iterator[Part] | list[Part], begun: set[str], *, has_times: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the parts, each line with its time in front; ``begun`` are the streams in the middle of one."""
    for moment, stream, data in parts:
        is_start = stream not in begun
        (begun.discard if data.endswith(b"\n") else begun.add)(stream)
        yield stream, b"%s %s" % (moment.encode(), data) if has_times and is_start else data
