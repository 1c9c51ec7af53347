"""Removes the containers that do not run."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.summary import ContainerState
from minidock.engine import container_filter
from minidock.engine.container_removal import remove_container
from minidock.engine.containers import end
from minidock.engine.workspace import Workspace
from minidock.store.containers import Container


def idle(ws: Workspace, filters: Sequence[tuple[str, str]] = ()) -> list[Container]:
    """Return the containers that do not run and that ``filters`` leave. Raises: InvalidRequest."""
    may_go = container_filter.prunable(ws, filters)
    return [
        container
        for container in ws.store.containers.list()
        if not container.is_watched and container.state.status is not ContainerState.REMOVING and may_go(container)
    ]


def prune(ws: Workspace, filters: Sequence[tuple[str, str]] = ()) -> tuple[tuple[str, ...], int]:
    """Remove the containers that are `idle`; return their IDs and the bytes of the layers that only they needed.

    Raises: InvalidRequest.
    """
    removed, size = [], 0
    for container in idle(ws, filters):
        end(ws, container)
        size += remove_container(ws, container.id, removes_volumes=False)
        removed.append(container.id)
    return tuple(removed), size
