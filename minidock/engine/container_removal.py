"""Removes containers, and goes on with removals that a process which died has begun."""

from __future__ import annotations

import errno
import os

from minidock.core.summary import ContainerState
from minidock.engine import attach_socket, events, volumes
from minidock.engine.containers import end
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace
from minidock.errors import ContainerRunning, NoSuchContainer
from minidock.store.containers import Container
from minidock.store.session import Session


def remove(ws: Workspace, name: str, *, is_forced: bool = False, removes_volumes: bool = False) -> None:
    """Remove a container, one that runs only if forced. Raises: NoSuchContainer, ContainerRunning."""
    container = ws.store.containers.find(name)
    if container.is_watched and not is_forced:
        raise ContainerRunning(container.id)
    if container.is_watched:
        ws.store.containers.set_stopped(container.id, is_stopped=True)
    end(ws, container)
    remove_container(ws, container.id, removes_volumes=removes_volumes)


def remove_container(ws: Workspace, container_id: str, *, removes_volumes: bool) -> int:
    """Remove a container that does not run, whatever was begun before; nothing happens if it is gone.

    Layers that only it needed go too; returns the bytes that those gave back.
    """
    containers = ws.store.containers
    with ws.store.session(is_removal=True) as session:
        try:
            image_id = containers.get(container_id).record.image_id
            containers.mark_removing(container_id, removes_volumes=removes_volumes)
        except NoSuchContainer:
            return 0
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # On a full disk it goes without the mark: to rename and to unlink needs no space.
            _discard(ws, session, containers.get(container_id), removes_volumes=removes_volumes)
        finish_removals(ws, session)
        if any(config_digest(item) == image_id for item in ws.store.images.list()):
            return 0  # the image still has all that the container was made from
        from minidock.store.collector import collect

        return collect(ws.store, session).size


def finish_removals(ws: Workspace, session: Session) -> None:
    """Go on with what processes that died have left: removals that have begun or are due (--rm), states, sockets."""
    containers = ws.store.containers
    _sweep_limits(ws)
    for container in containers.list():
        if container.state.status is ContainerState.REMOVING:
            _discard(ws, session, container, removes_volumes=container.state.removes_volumes)
        elif not container.is_watched:
            _mend(ws, container)
            if is_due(container):
                _discard(ws, session, container, removes_volumes=True)
    for name in containers.half_made():
        containers.discard(session, name)


def _sweep_limits(ws: Workspace) -> None:
    """Remove the control groups that a container (or a build step) has left whose monitor was killed."""

    def is_dead(name: str) -> bool:
        process, dash, _ = name.partition("-")  # a build step is called by the process that builds
        if dash:
            return process.isdecimal() and not os.path.exists(f"/proc/{process}")
        is_known = os.path.exists(ws.store.containers.path(name, "config.json"))
        return is_known and not ws.store.containers.is_watched(name)

    ws.runtime.sweep(is_dead)


def is_due(container: Container) -> bool:
    """Whether the next removal or start takes a container along: one that goes when it has ended, and nobody saw it.

    One that was made by `create` counts from its first start.
    """
    if container.state.status is ContainerState.REMOVING:
        return True
    is_fresh = container.state.status is ContainerState.CREATED and container.record.lifecycle.is_made_only
    return container.record.auto_remove and not container.is_watched and not is_fresh


def _mend(ws: Workspace, container: Container) -> None:
    """Take away what a monitor that was killed has left, and write down the end of its container."""
    end(ws, container)
    state = ws.store.containers.mend(container, ws.clock.now())
    attach_socket.discard(ws.store.containers.path(container.id))
    if state is not None:
        events.tell_ended(ws, container.record, state.exit_code)


def _discard(ws: Workspace, session: Session, container: Container, *, removes_volumes: bool) -> None:
    if removes_volumes:
        volumes.discard_anonymous(ws, session, container.record)
    ws.store.containers.discard(session, container.id)
    events.tell(ws, container.record, "destroy")
