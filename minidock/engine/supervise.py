"""`run`, second half: starting a container, watching over it, and keeping its state true until it has ended."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from minidock.core.summary import ContainerState
from minidock.engine import monitor
from minidock.engine.attend import Streams, Wiring, attend
from minidock.engine.containers import remove_container
from minidock.engine.known_report import forget
from minidock.engine.run import Created, process_spec
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, NoSuchContainer, RuntimeProblem, StartFailed
from minidock.runtime.base import Handle, ProcessIO
from minidock.store.container_log import LogWriter, open_log
from minidock.store.container_record import RunState


def run_attached(ws: Workspace, created: Created, streams: Streams) -> int:
    """Run a container in the foreground, this process being its monitor; return its exit code.

    Raises: RuntimeProblem if it cannot be started.
    """
    record = created.record
    log = open_log(ws.store.containers.path(record.id, "log")) if record.has_log else None
    try:
        code = attend(
            lambda io: _start(ws, created, io),
            streams,
            has_terminal=record.has_terminal,
            log=None if log is None else LogWriter(ws.store.disk, log),
        )
        _ended(ws, created, code)
        return code
    finally:
        if record.auto_remove:
            remove_container(ws, record.id, removes_volumes=True)
        if log is not None:
            os.close(log)
        os.close(created.lock)


def _start(ws: Workspace, created: Created, io: ProcessIO) -> Handle:
    """Start the process of a container and say so, or why not, in its state."""
    containers, record = ws.store.containers, created.record
    try:
        handle = ws.runtime.start(process_spec(ws, created), io)
    except MinidockError as error:
        containers.write_state(record.id, RunState(exit_code=error.exit_code, error=str(error)))
        if type(error) is RuntimeProblem:  # not one of the program's: what was tried once may not hold any more
            forget(ws)
        raise
    containers.write_state(record.id, _running(ws, handle))
    return handle


def _running(ws: Workspace, handle: Handle) -> RunState:
    return RunState(
        status=ContainerState.RUNNING,
        pid=handle.started.pid,
        start_ticks=handle.started.start_ticks,
        boot_id=ws.store.boot_id,
        started_at=ws.clock.now(),
    )


def _ended(ws: Workspace, created: Created, code: int) -> None:
    try:
        state = ws.store.containers.get(created.record.id).state
        ended = replace(state, status=ContainerState.EXITED, pid=0, exit_code=code, finished_at=ws.clock.now())
        ws.store.containers.write_state(created.record.id, ended)
    except NoSuchContainer:
        return  # removed by force as soon as its process was gone


def run_detached(ws: Workspace, created: Created) -> None:
    """Start a container whose monitor is a process of its own, which this one does not wait for.

    Raises: StartFailed if it cannot be started.
    """
    read_end, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _become_monitor(ws, created, answer)
    os.close(answer)
    os.close(created.lock)  # the monitor has it too
    with os.fdopen(read_end, "rb") as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    if not said:
        raise StartFailed(f"the monitor of container {created.record.id} ended before it had started it", 125)
    message, code, hint = json.loads(said)
    if message:
        raise StartFailed(message, code, hint)


def _become_monitor(ws: Workspace, created: Created, answer: int) -> NoReturn:
    """Leave the caller's session, start the container, answer, and go on as a small program (`monitor`)."""
    said: tuple[str, int, str | None] = ("", 0, None)
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        _let_go_of_everything_but([created.lock, answer])
        words = _start_detached(ws, created)
        os.write(answer, json.dumps(said).encode())
        os.close(answer)
        _keep_descriptors()
        os.execve(monitor.executable(), words, {})
    except MinidockError as error:
        said = (str(error), error.exit_code, error.hint)
    except BaseException as error:  # nothing may return into the program that this is a copy of
        said = (f"{type(error).__name__}: {error}", 125, None)
    try:
        if created.record.auto_remove:
            remove_container(ws, created.record.id, removes_volumes=True)
        os.write(answer, json.dumps(said).encode())
    finally:
        os._exit(1)


def _start_detached(ws: Workspace, created: Created) -> list[str]:
    """Start the container; return the command line of the program that watches over it from now on."""
    containers, record = ws.store.containers, created.record
    wiring = Wiring(has_terminal=record.has_terminal, has_stdin=record.has_stdin)
    handle = _start(ws, created, wiring.io)
    wiring.close_theirs()
    log = open_log(containers.path(record.id, "log")) if record.has_log else -1
    ended = replace(_running(ws, handle), status=ContainerState.EXITED, pid=0, finished_at=ws.clock.now())
    return monitor.command_line(
        ws.store.layout.root,
        record.id,
        log=log,
        outputs=(wiring.master, -1) if record.has_terminal else (wiring.stdout, wiring.stderr),
        final_state=ended.to_json(),
        auto_remove=record.auto_remove,
    )


def _let_go_of_everything_but(kept: Sequence[int]) -> None:
    """Close what the caller has open: its terminal, its locks, its pipes."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for fd in _descriptors():
        if fd > 2 and fd not in kept:
            os.close(fd)


def _keep_descriptors() -> None:
    """Let every descriptor survive the exec: each is needed, those of the runtime keep the container alive."""
    for fd in _descriptors():
        os.set_inheritable(fd, True)


def _descriptors() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            continue  # the listing's own
        found.append(int(name))
    return found
