"""`stats`: what containers use, from one look to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from minidock.core.stats import Sample, StatsRow, cpu_percent
from minidock.engine.containers import started_of
from minidock.engine.workspace import Workspace
from minidock.errors import NoSuchContainer, RuntimeProblem
from minidock.store.containers import Container

INTERVAL = 1.0


def watch(
    ws: Workspace, names: Sequence[str], sleep: Callable[[float], None], *, includes_all: bool = False
) -> Iterator[tuple[StatsRow, ...]]:
    """Yield the rows of the containers ``names`` (of all that run, if none is named) every second, for ever.

    A named container that ends stays, without figures; others come and go. Raises: NoSuchContainer.
    """
    for name in names:
        ws.store.containers.find(name)
    before = _samples(ws, _containers(ws, names, includes_all=includes_all))
    while True:
        sleep(INTERVAL)
        asked = _containers(ws, names, includes_all=includes_all)
        after = _samples(ws, asked)
        yield tuple(_row(name, container, before, after) for name, container in asked)
        before = after


def _containers(ws: Workspace, names: Sequence[str], *, includes_all: bool) -> list[tuple[str, Container]]:
    """Return the containers with the names by which they were asked for."""
    if not names:
        return [(item.id, item) for item in ws.store.containers.list() if item.has_process or includes_all]
    found = []
    for name in names:
        try:
            found.append((name, ws.store.containers.find(name)))
        except NoSuchContainer:
            continue  # it was there at the beginning
    return found


def _samples(ws: Workspace, asked: Sequence[tuple[str, Container]]) -> dict[str, Sample]:
    found = {}
    for _, container in asked:
        if container.has_process:
            try:
                found[container.id] = ws.runtime.sample(started_of(container))
            except (RuntimeProblem, FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
    return found


def _row(asked: str, container: Container, before: dict[str, Sample], after: dict[str, Sample]) -> StatsRow:
    now = after.get(container.id)
    percent = cpu_percent(before[container.id], now) if now and container.id in before else 0.0
    return StatsRow(container.id, container.record.name, asked, percent, now)
