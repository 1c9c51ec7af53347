"""Starting a container in the background: the process that starts it becomes its monitor (`monitor`)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from minidock.core import health as rules
from minidock.core.health import Health
from minidock.core.summary import ContainerState
from minidock.engine import attach_socket, events, monitor
from minidock.engine.attend import Wiring
from minidock.engine.container_removal import remove_container
from minidock.engine.known_report import forget
from minidock.engine.run import Created, process_spec, reopened
from minidock.engine.workspace import Workspace, open_workspace
from minidock.errors import MinidockError, NoSuchContainer, RuntimeProblem, StartFailed
from minidock.runtime.base import Handle, ProcessIO
from minidock.store.container_log import open_log
from minidock.store.container_record import RunState

if TYPE_CHECKING:
    from minidock.engine.monitor import Orders

    # Gets what is to be done in the new process; returns the orders of the monitor that it becomes.
    Begin = Callable[[], Orders]


def start_process(ws: Workspace, created: Created, io: ProcessIO, *, restarts: int = 0) -> Handle:
    """Start the process of a container and say so, or why not, in its state."""
    containers, record = ws.store.containers, created.record
    before = containers.get(record.id).state
    try:
        handle = ws.runtime_called(record.runtime).start(process_spec(ws, created), io)
    except MinidockError as error:
        failed = replace(before, exit_code=error.exit_code, error=str(error), restart_count=restarts)
        if failed.status is ContainerState.RESTARTING:
            failed = replace(failed, status=ContainerState.EXITED)
        containers.write_state(record.id, failed)
        if type(error) is RuntimeProblem:  # not one of the program's: what was tried once may not hold any more
            forget(ws)
        raise
    running = RunState(
        status=ContainerState.RUNNING,
        pid=handle.started.pid,
        start_ticks=handle.started.start_ticks,
        boot_id=ws.store.boot_id,
        started_at=ws.clock.now(),
        finished_at=before.finished_at,
        restart_count=restarts,
        ports=handle.started.ports,
    )
    containers.write_state(record.id, running)
    events.tell_started(ws, record)
    return handle


def run_detached(ws: Workspace, created: Created, *, client: int = -1, size: tuple[int, int] | None = None) -> None:
    """Start a container whose monitor is a process of its own, which this one does not wait for.

    ``client`` is one end of a connection that is attached from the beginning (`attach_socket`; it is closed here),
    ``size`` that of its terminal. Raises: StartFailed if the container cannot be started.
    """

    def begin() -> Orders:
        try:
            return _begin(ws, created, clients=[client] if client >= 0 else [], size=size)
        except BaseException:
            if created.record.auto_remove:
                remove_container(ws, created.record.id, removes_volumes=True)
            else:
                attach_socket.discard(ws.store.containers.path(created.record.id))
            raise

    in_background(begin, keeps=[created.lock] + ([client] if client >= 0 else []))


def in_background(begin: Begin, *, keeps: Sequence[int]) -> None:
    """Call ``begin`` in a process of its own, which keeps the descriptors ``keeps`` and becomes the monitor.

    They are closed here. Raises: StartFailed.
    """
    read_end, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _leave(begin, keeps, answer)
    for fd in (answer, *keeps):
        os.close(fd)
    with os.fdopen(read_end, "rb") as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    if not said:
        raise StartFailed("the monitor of the process ended before it had started it", 125)
    message, code, hint = json.loads(said)
    if message:
        raise StartFailed(message, code, hint)


def _leave(begin: Begin, keeps: Sequence[int], answer: int) -> NoReturn:
    """Leave the caller's session, begin, answer, and go on as a small program."""
    said: tuple[str, int, str | None] = ("", 0, None)
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        _let_go_of_everything_but([*keeps, answer])
        orders = begin()
        os.write(answer, json.dumps(said).encode())
        os.close(answer)
        monitor.become(orders)
    except MinidockError as error:
        said = (str(error), error.exit_code, error.hint)
    except BaseException as error:  # nothing may return into the program that this is a copy of
        said = (f"{type(error).__name__}: {error}", 125, None)
    try:
        os.write(answer, json.dumps(said).encode())
    finally:
        os._exit(1)


def _begin(
    ws: Workspace,
    created: Created,
    *,
    clients: list[int],
    size: tuple[int, int] | None = None,
    listener: int = -1,
    restarts: int = 0,
    delay: float = 0.0,
) -> Orders:
    """Start the container; return the orders of the program that watches over it from now on."""
    containers, record = ws.store.containers, created.record
    check = record.lifecycle.health
    if check.is_active:
        containers.write_health(record.id, Health())
    if listener < 0:
        listener = attach_socket.listen(containers.path(record.id))
    wiring = Wiring(has_terminal=record.has_terminal, has_stdin=record.has_stdin, size=size)
    handle = start_process(ws, created, wiring.io, restarts=restarts)
    wiring.close_theirs()
    return {
        **orders_of(ws, record.id, handle, wiring, clients=clients),
        "log": open_log(containers.path(record.id, "log")) if record.has_log else -1,
        "lock": created.lock,
        "listener": listener,
        "closes_input": "stdin" in record.lifecycle.attached,
        "auto_remove": record.auto_remove,
        "restarts": restarts,
        "delay": delay,
        "state": containers.get(record.id).state.to_json(),
        "pauses": _pauses(check) if check.is_active else [],
    }


def orders_of(
    ws: Workspace, container_id: str, handle: Handle, wiring: Wiring, *, clients: list[int], exec_id: str = ""
) -> Orders:
    """Return the orders for watching over a process that has just been started."""
    return {
        "root": ws.store.layout.root,
        "id": container_id,
        "exec_id": exec_id,
        "paths": [*(path for path in sys.path if path), monitor.PACKAGE_ROOT],
        "child": handle.child,
        "outputs": wiring.outputs,
        "stdin": wiring.input,
        "terminal": wiring.master,
        "log": -1,
        "lock": -1,
        "listener": -1,
        "clients": clients,
        "closes_input": False,
        "auto_remove": False,
        "restarts": 0,
        "delay": 0.0,
        "state": {},
        "pauses": [],
    }


def _pauses(check: rules.HealthCheck) -> list[float]:
    starting, later = (check.pause(is_starting=flag) / rules.NANOSECONDS for flag in (True, False))
    return [starting if check.start_period else later, starting, later]


def main(args: Sequence[str]) -> None:
    """Start a container again whose monitor this process was, and is to be again."""
    orders = monitor.opened(int(args[0]))
    ws = open_workspace(orders["root"])
    try:
        created = reopened(ws, orders["id"], orders["lock"])
        again = _begin(
            ws,
            created,
            clients=[],
            listener=orders["listener"],
            restarts=orders["restarts"],
            delay=orders["delay"],
        )
    except NoSuchContainer:
        return  # removed by force
    except MinidockError:
        # `start_process` has written down why; nobody is there to be told.
        attach_socket.discard(ws.store.containers.path(orders["id"]))
        return
    monitor.become(again)


def _let_go_of_everything_but(kept: Sequence[int]) -> None:
    """Close what the caller has open: its terminal, its locks, its pipes."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for fd in monitor.descriptors():
        if fd > 2 and fd not in kept:
            os.close(fd)
