"""Containers by name or ID: listing, ending, removing."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import replace

from minidock.core.container import check_name, command_text
from minidock.core.lifecycle import STOP_SECONDS
from minidock.core.networking import NetworkKind
from minidock.core.published import Mapped, shown
from minidock.core.signals import parse_signal
from minidock.core.summary import ContainerRow, ContainerState
from minidock.engine import attach_socket, container_filter, events, images, volumes
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace
from minidock.errors import ContainerNotRunning, ContainerRunning, InvalidRequest, MinidockError, NoSuchContainer
from minidock.runtime.base import Started
from minidock.store.containers import Container
from minidock.store.event_log import EventReader
from minidock.store.session import Session

_SIGKILL = 9
_PAUSE = 0.01
_LOOK_AGAIN = 0.5  # seconds after which a container that goes on is looked at anew


def list_containers(
    ws: Workspace,
    filters: Sequence[tuple[str, str]] = (),
    *,
    includes_all: bool = False,
    has_sizes: bool = False,
    count: int | None = None,
) -> tuple[ContainerRow, ...]:
    """Return one row per running container (or per container), newest first, at most ``count``.

    Raises: InvalidRequest, NoSuchContainer for filters that cannot be applied.
    """
    found = container_filter.listed(ws, filters, includes_all=includes_all)
    return tuple(row_of(ws, item, has_sizes=has_sizes) for item in found[:count])


def row_of(ws: Workspace, container: Container, *, has_sizes: bool = False) -> ContainerRow:
    """Return what lists show of a container."""
    record, state = container.record, container.state
    size_rw = _written_size(ws, container) if has_sizes else 0
    size_root = size_rw + _image_size(ws, container) if has_sizes else 0
    return ContainerRow(
        id=record.id,
        image=_image_text(ws, container),
        command=command_text(record.args),
        created=record.created,
        state=state.status,
        exit_code=state.exit_code,
        started_at=state.started_at,
        finished_at=state.finished_at,
        names=(record.name,),
        size_rw=size_rw,
        size_root=size_root,
        ports=_ports(container),
        networks=_networks(container),
        mounts=tuple(mount.source for mount in record.mounts if mount.source),
        local_volumes=len(record.volumes),
        labels=record.labels,
        health=container_filter.health_of(ws, container),
    )


def _ports(container: Container) -> tuple[str, ...]:
    if not container.is_live:
        return ()
    networking = container.record.networking
    exposed = networking.exposed if networking.kind is NetworkKind.PRIVATE else ()
    return shown(exposed, (Mapped(*port) for port in container.state.ports))


def _networks(container: Container) -> tuple[str, ...]:
    networking = container.record.networking
    return tuple(endpoint.network for endpoint in networking.endpoints) or (networking.name,)


def _image_text(ws: Workspace, container: Container) -> str:
    """Return the image's name as the user wrote it, or its ID if another image has the name now."""
    record = container.record
    try:
        is_same = images.find(ws, record.image_name).image_id == record.image_id
    except MinidockError:
        is_same = False
    return record.image_name if is_same else str(record.image_id)


def _image_size(ws: Workspace, container: Container) -> int:
    return sum(ws.store.layers.get(diff_id).size for diff_id in container.record.diff_ids)


def _written_size(ws: Workspace, container: Container) -> int:
    from minidock.engine.changes import written_size  # what compares trees is loaded when somebody asks for sizes

    return written_size(ws, container)


def started_of(container: Container) -> Started:
    """Return the name that the runtime knows the container's process by."""
    return Started(container.state.pid, container.state.start_ticks)


def running(ws: Workspace, name: str, *, prefix: str = "") -> Container:
    """Return a container that runs, be it paused. Raises: NoSuchContainer, ContainerNotRunning."""
    container = ws.store.containers.find(name)
    if not container.has_process:
        raise ContainerNotRunning(container.id, prefix)
    return container


def stop(ws: Workspace, name: str, *, seconds: int | None = None, signal: str = "") -> None:
    """End a container: its stop signal, and SIGKILL when it still runs after ``seconds`` (negative: never).

    One that does not run is left as it is. Raises: NoSuchContainer, InvalidSignal.
    """
    container = ws.store.containers.find(name)
    number = parse_signal(signal or container.record.stop_signal)
    if not container.is_watched:
        return
    ws.store.containers.set_stopped(container.id, is_stopped=True)
    if seconds is None:
        seconds = container.record.lifecycle.stop_seconds
    if seconds is None:
        seconds = STOP_SECONDS
    _signal_until_gone(ws, container, number, seconds if seconds >= 0 else None)
    events.tell(ws, container.record, "stop")


def _signal_until_gone(ws: Workspace, container: Container, number: int, patience: float | None) -> None:
    """Send a signal to the process of a container, to a new one too if it is just being started again; then SIGKILL."""
    told: Started | None = None
    until = None if patience is None else time.monotonic() + patience
    while container.is_watched:
        is_late = until is not None and time.monotonic() >= until
        if container.state.status is ContainerState.RESTARTING:
            _give_up_restarting(ws, container.id)
        elif container.state.pid and (started_of(container) != told or is_late):
            told = started_of(container)
            _signal_to_end(ws, container, _SIGKILL if is_late else number)
            events.tell(ws, container.record, "kill", signal=str(_SIGKILL if is_late else number))
            if is_late:
                until = None
        if _wait_for_end(ws, container.id, _LOOK_AGAIN):
            return
        try:
            container = ws.store.containers.get(container.id)
        except NoSuchContainer:
            return


def _signal_to_end(ws: Workspace, container: Container, number: int) -> bool:
    """Send a signal that is meant to end a container; one that is paused has to go on to receive it."""
    is_sent = ws.runtime.signal(started_of(container), number)
    if is_sent and container.is_paused:
        ws.runtime.resume(started_of(container))
    return is_sent


def _give_up_restarting(ws: Workspace, container_id: str) -> None:
    try:
        connection = attach_socket.connect(ws.store.containers.path(container_id))
    except OSError:
        return  # it has just given up by itself
    try:
        os.write(connection, attach_socket.STOP)
    except OSError:
        pass
    finally:
        os.close(connection)


def kill(ws: Workspace, name: str, signal: str = "KILL") -> None:
    """Send a signal to a container's process. Raises: NoSuchContainer, ContainerNotRunning, InvalidSignal."""
    number = parse_signal(signal)
    prefix = f"Cannot kill container: {name}: "
    container = ws.store.containers.find(name)
    if not container.state.pid or not container.is_live:
        raise ContainerNotRunning(container.id, prefix)
    is_end = number in (_SIGKILL, parse_signal(container.record.stop_signal))
    if is_end:  # by whatever signal: who ends a container does not want it to come back
        ws.store.containers.set_stopped(container.id, is_stopped=True)
    is_sent = _signal_to_end(ws, container, number) if is_end else ws.runtime.signal(started_of(container), number)
    if not is_sent:
        raise ContainerNotRunning(container.id, prefix)
    events.tell(ws, container.record, "kill", signal=str(number))
    if number == _SIGKILL:
        _wait_for_end(ws, container.id, STOP_SECONDS)


def wait(ws: Workspace, name: str) -> int:
    """Wait until a container has ended for good; return its exit code. Raises: NoSuchContainer."""
    container = ws.store.containers.find(name)
    if container.is_live:
        _wait_for_end(ws, container.id, None)
        try:
            container = ws.store.containers.get(container.id)
        except NoSuchContainer:  # with --rm: what it was is gone with it
            return _exit_code_told(ws, container.id)
    return container.state.exit_code


def _exit_code_told(ws: Workspace, container_id: str) -> int:
    """Return the exit code of a container that has been removed, from the record of events."""
    codes = [
        int(event["Actor"]["Attributes"].get("exitCode", 0))
        for event in EventReader(ws.store.layout.root).events()
        if event["Action"] == "die" and event["Actor"]["ID"] == container_id
    ]
    return codes[-1] if codes else 0


def rename(ws: Workspace, name: str, new_name: str) -> None:
    """Give a container another name. Raises: NoSuchContainer, InvalidRequest, NameConflict."""
    container = ws.store.containers.find(name)
    wanted = new_name.removeprefix("/")
    if not wanted or wanted == container.record.name:
        raise InvalidRequest(
            "Neither old nor new names may be empty"
            if not wanted
            else "Renaming a container with the same name as its current name"
        )
    check_name(wanted)
    with ws.store.session() as session:
        finish_removals(ws, session)
        record = ws.store.containers.change(container.id, lambda record: replace(record, name=wanted))
    events.tell(ws, record, "rename", oldName=f"/{container.record.name}")


def _wait_for_end(ws: Workspace, container_id: str, seconds: float | None) -> bool:
    """Wait until a container's monitor has gone, which is the last thing that happens; False if it has not."""
    until = None if seconds is None else time.monotonic() + seconds
    while ws.store.containers.is_watched(container_id):
        if until is not None and time.monotonic() >= until:
            return False
        time.sleep(_PAUSE)
    return True


def remove(ws: Workspace, name: str, *, is_forced: bool = False, removes_volumes: bool = False) -> None:
    """Remove a container, one that runs only if forced. Raises: NoSuchContainer, ContainerRunning."""
    container = ws.store.containers.find(name)
    if container.is_watched and not is_forced:
        raise ContainerRunning(container.id)
    if container.is_watched:
        ws.store.containers.set_stopped(container.id, is_stopped=True)
    _end(ws, container)
    remove_container(ws, container.id, removes_volumes=removes_volumes)


def _end(ws: Workspace, container: Container) -> None:
    """Kill what runs in a container and wait until nothing uses its directories any more."""
    while container.is_watched:
        if container.state.status is ContainerState.RESTARTING:
            _give_up_restarting(ws, container.id)
        elif container.state.pid:
            _signal_to_end(ws, container, _SIGKILL)
        if _wait_for_end(ws, container.id, _LOOK_AGAIN):
            return
        try:
            container = ws.store.containers.get(container.id)  # it may have been about to start
        except NoSuchContainer:
            return
    # A killed monitor takes its container along, but not in the same instant.
    while container.state.pid and ws.runtime.is_running(started_of(container)):
        ws.runtime.signal(started_of(container), _SIGKILL)
        ws.runtime.resume(started_of(container))  # it may have been paused
        time.sleep(_PAUSE)


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
    _end(ws, container)
    state = ws.store.containers.mend(container, ws.clock.now())
    attach_socket.discard(ws.store.containers.path(container.id))
    if state is not None:
        events.tell(ws, container.record, "die", exitCode=str(state.exit_code))


def _discard(ws: Workspace, session: Session, container: Container, *, removes_volumes: bool) -> None:
    if removes_volumes:
        volumes.discard_anonymous(ws, session, container.record)
    ws.store.containers.discard(session, container.id)
    events.tell(ws, container.record, "destroy")


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
        _end(ws, container)
        size += remove_container(ws, container.id, removes_volumes=False)
        removed.append(container.id)
    return tuple(removed), size
