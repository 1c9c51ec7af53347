"""Containers by name or ID: their processes, signals, and waiting for their end."""

from __future__ import annotations

import os
import time

from minidock.core.lifecycle import STOP_SECONDS
from minidock.core.signals import is_supported, parse_signal
from minidock.core.summary import ContainerState
from minidock.engine import attach_socket, events
from minidock.engine.workspace import Workspace
from minidock.errors import ContainerNotRunning, InvalidRequest, NoSuchContainer
from minidock.runtime.base import Started
from minidock.store.containers import Container
from minidock.store.event_log import EventReader

_SIGKILL = 9
_PAUSE = 0.01
_LOOK_AGAIN = 0.5  # seconds after which a container that goes on is looked at anew


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
    try:
        container = ws.store.containers.find(name)
    except NoSuchContainer as error:
        raise NoSuchContainer(name, prefix) from error
    if not is_supported(number):
        raise InvalidRequest(f"{prefix}the linux daemon does not support signal {number}")
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
        ws.store.containers.wait_for_end(container.id)
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


def end(ws: Workspace, container: Container) -> None:
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


def _wait_for_end(ws: Workspace, container_id: str, seconds: float) -> bool:
    """Wait until a container's monitor has gone, which is the last thing that happens; False if it has not."""
    until = time.monotonic() + seconds
    while ws.store.containers.is_watched(container_id):
        if time.monotonic() >= until:
            return False
        time.sleep(_PAUSE)
    return True
