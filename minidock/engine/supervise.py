"""Running a container in the foreground, and being attached to one."""

from __future__ import annotations

import os
import signal as signals
from contextlib import ExitStack
from dataclasses import replace

from minidock.core.summary import ContainerState
from minidock.engine import attach_socket, events
from minidock.engine.attend import Forwarding, attend
from minidock.engine.client import Attachment, Client
from minidock.engine.container_removal import remove_container
from minidock.engine.containers import started_of
from minidock.engine.handover import run_detached, start_process
from minidock.engine.run import Created
from minidock.engine.workspace import Workspace
from minidock.errors import ContainerNotRunning, InvalidState, NoSuchContainer
from minidock.runtime.base import Started
from minidock.store.container_log import LogWriter, open_log
from minidock.store.container_record import ContainerRecord

_WAYS_OUT = {
    ContainerState.PAUSED: "a paused container, unpause it first",
    ContainerState.RESTARTING: "a restarting container, wait until it is running",
}


def run_attached(ws: Workspace, created: Created, attachment: Attachment) -> int | None:
    """Run a container in the foreground; return its exit code, or None if the caller has detached from it.

    Raises: RuntimeProblem if it cannot be started.
    """
    record = created.record
    life = record.lifecycle
    if record.has_terminal or life.restart.is_active or life.health.is_active or not attachment.proxies_signals:
        return start_attached(ws, created, attachment)
    return _run_here(ws, created, attachment)


def _run_here(ws: Workspace, created: Created, attachment: Attachment) -> int:
    """Run a container with this process as its monitor, which is the quickest way."""
    record = created.record
    events.tell(ws, record, "attach")
    log = open_log(ws.store.containers.path(record.id, "log")) if record.has_log else None
    try:
        code = attend(
            lambda io: start_process(ws, created, io),
            attachment.streams,
            has_terminal=False,
            log=None if log is None else LogWriter(ws.store.disk, log),
        )
        _ended(ws, created, code)
        return code
    finally:
        ws.runtime.dismiss()
        if record.auto_remove:
            remove_container(ws, record.id, removes_volumes=True)
        if log is not None:
            os.close(log)
        os.close(created.lock)


def _ended(ws: Workspace, created: Created, code: int) -> None:
    record = created.record
    try:
        state = ws.store.containers.get(record.id).state
        ended = replace(state, status=ContainerState.EXITED, pid=0, exit_code=code, finished_at=ws.clock.now())
        ws.store.containers.write_state(record.id, ended)
    except NoSuchContainer:
        return  # removed by force as soon as its process was gone
    seconds = (ws.clock.now() - state.started_at).total_seconds() if state.started_at else 0.0
    if ws.store.containers.was_oom_killed(record.id):
        events.tell(ws, record, "oom")
    events.tell_ended(ws, record, code, seconds)


def start_attached(ws: Workspace, created: Created, attachment: Attachment) -> int | None:
    """Start a container with a monitor of its own, attached to it from its first byte on; else as `run_attached`."""
    ws.runtime.dismiss()  # what is prepared is this process's, not the monitor's
    ours, theirs = attach_socket.pair()
    events.tell(ws, created.record, "attach")
    try:
        run_detached(ws, created, client=theirs, size=attachment.size())
    except BaseException:
        os.close(ours)
        raise
    return _follow(ws, created.record, Client(ours, attachment, has_terminal=created.record.has_terminal), attachment)


def attach(ws: Workspace, name: str, attachment: Attachment) -> int | None:
    """Be attached to a container that runs; else as `run_attached`. Raises: NoSuchContainer, InvalidState."""
    container = ws.store.containers.find(name)
    if not container.is_running:
        reason = _WAYS_OUT.get(container.state.status, "a stopped container, start it first")
        raise InvalidState(f"You cannot attach to {reason}")
    try:
        connection = attach_socket.connect(ws.store.containers.path(container.id))
    except OSError as error:
        raise InvalidState(
            f"container {container.record.name} runs in the foreground of another terminal and serves nobody else",
            hint="see what it prints with `minidock logs -f`, or start it with -d or -t",
        ) from error
    events.tell(ws, container.record, "attach")
    if not container.record.has_stdin:
        attachment = replace(attachment, streams=replace(attachment.streams, stdin=None))
    client = Client(connection, attachment, has_terminal=container.record.has_terminal)
    return _follow(ws, container.record, client, attachment, redraws=True)


def _follow(
    ws: Workspace, record: ContainerRecord, client: Client, attachment: Attachment, *, redraws: bool = False
) -> int | None:
    with ExitStack() as stack:
        stack.callback(client.close)
        forwarding = Forwarding()
        if attachment.proxies_signals:
            stack.enter_context(forwarding.installed())
            forwarding.to(_Remote(ws, record.id))
        try:
            code = client.follow(redraws=redraws)
        except BrokenPipeError:
            forwarding.pass_on(signals.SIGPIPE)
            raise
        if code is None:
            events.tell(ws, record, "detach")
        return code if code is None else forwarding.code(code)


class _Remote:
    """A container whose monitor is another process, as something that signals can be sent to."""

    child = 0

    def __init__(self, ws: Workspace, container_id: str) -> None:
        self._ws = ws
        self._id = container_id

    @property
    def started(self) -> Started:
        return started_of(self._ws.store.containers.get(self._id))

    def wait(self) -> int:
        raise ContainerNotRunning(self._id)

    def kill(self, signal: int) -> None:
        try:
            self._ws.runtime.signal(self.started, signal)
        except NoSuchContainer:
            return
