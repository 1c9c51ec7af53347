"""`pause` and `unpause`: every process of a container comes to a halt, and goes on."""

from __future__ import annotations

from dataclasses import replace

from minidock.core.summary import ContainerState
from minidock.engine import events
from minidock.engine.containers import running, started_of
from minidock.engine.workspace import Workspace
from minidock.errors import ContainerNotRunning, InvalidState


def pause(ws: Workspace, name: str) -> None:
    """Halt a container. Raises: NoSuchContainer, ContainerNotRunning, InvalidState, RuntimeProblem."""
    container = ws.store.containers.find(name)
    if container.state.status is ContainerState.RESTARTING:
        raise InvalidState(f"Container {container.id} is restarting, wait until the container is running")
    container = running(ws, container.id)
    if container.is_paused:
        raise InvalidState(f"Container {container.id} is already paused")
    started = started_of(container)
    ws.runtime.pause(started, container.id)
    if not ws.runtime.is_running(started):
        raise ContainerNotRunning(container.id)
    ws.store.containers.write_state(container.id, replace(container.state, status=ContainerState.PAUSED))
    events.tell(ws, container.record, "pause")


def unpause(ws: Workspace, name: str) -> None:
    """Let a container go on. Raises: NoSuchContainer, InvalidState, RuntimeProblem."""
    container = ws.store.containers.find(name)
    if not container.is_paused:
        raise InvalidState(f"Container {container.id} is not paused")
    # First the word, then the deed: once it goes on it may end, and its monitor has the last word.
    ws.store.containers.write_state(container.id, replace(container.state, status=ContainerState.RUNNING))
    ws.runtime.resume(started_of(container))
    events.tell(ws, container.record, "unpause")
