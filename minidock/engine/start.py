"""`start` and `restart`: containers that have been made before."""

from __future__ import annotations

import os
import time

from minidock.core.summary import ContainerState
from minidock.engine import events
from minidock.engine.client import Attachment
from minidock.engine.container_removal import finish_removals
from minidock.engine.containers import stop
from minidock.engine.handover import run_detached
from minidock.engine.run import Created, reopened
from minidock.engine.supervise import attach, start_attached
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidState

_PAUSE = 0.02


def start(ws: Workspace, name: str, attachment: Attachment | None = None) -> int | None:
    """Start a container, unless it runs; with ``attachment`` be attached until it ends and return its exit code.

    None means that the caller is not attached, or no more. Raises: NoSuchContainer, InvalidState, RuntimeProblem.
    """
    container = ws.store.containers.find(name)
    if container.state.status is ContainerState.PAUSED:
        raise InvalidState("cannot start a paused container, try unpause instead")
    created = None if container.is_watched else _claimed(ws, container.id)
    if created is None:
        return None if attachment is None else attach(ws, name, attachment)
    if attachment is not None:
        return start_attached(ws, created, attachment)
    run_detached(ws, created)
    return None


def _claimed(ws: Workspace, container_id: str) -> Created | None:
    """Return the container with its lock; None if somebody else has just started it."""
    with ws.store.session() as session:
        finish_removals(ws, session)
    look = ws.store.locks.waiting(f"those who read the files of container {container_id[:12]} (`export`, `cp`)")
    while (lock := ws.store.containers.claim(container_id)) is None:
        if ws.store.containers.is_watched(container_id):
            return None
        look()
        time.sleep(_PAUSE)
    try:
        ws.store.containers.set_stopped(container_id, is_stopped=False)
        return reopened(ws, container_id, lock)
    except BaseException:
        os.close(lock)
        raise


def restart(ws: Workspace, name: str, *, seconds: int | None = None, signal: str = "") -> None:
    """Stop a container if it runs (as `stop`), then start it. Raises: NoSuchContainer, RuntimeProblem."""
    stop(ws, name, seconds=seconds, signal=signal)
    start(ws, name)
    events.tell(ws, ws.store.containers.find(name).record, "restart")
