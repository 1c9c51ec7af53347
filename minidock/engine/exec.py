"""`exec`: one more process in a running container."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING

from minidock.core import container as rules
from minidock.core.dataclass import dataclass
from minidock.core.process import ProcessSpec, RootFs, User
from minidock.core.summary import ContainerState
from minidock.core.users import resolve_groups, resolve_user
from minidock.engine import attach_socket, events
from minidock.engine.attend import Wiring, attend
from minidock.engine.client import Attachment, Client
from minidock.engine.containers import running, started_of
from minidock.engine.handover import in_background, orders_of
from minidock.engine.image_files import ImageFiles
from minidock.engine.workspace import Workspace
from minidock.errors import CommandNotExecutable, CommandNotFound, InvalidState, RuntimeProblem, StartFailed
from minidock.runtime.base import Handle, ProcessIO
from minidock.store.container_record import ContainerRecord
from minidock.store.containers import Container

if TYPE_CHECKING:
    from minidock.engine.monitor import Orders

_LIMIT = 10 << 20


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """What to start; what is empty is as for the container's first process. ``env`` as in `RunRequest`."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    user: str = ""
    has_terminal: bool = False
    is_detached: bool = False
    is_privileged: bool = False


def execute(ws: Workspace, name: str, request: ExecRequest, attachment: Attachment) -> int | None:
    """Run a process in a container; return its exit code, None if the caller has detached from it.

    Raises: NoSuchContainer, ContainerNotRunning, InvalidState, CommandNotFound, StartFailed (any other reason).
    """
    container = _ready(ws, name)
    with _not_started():
        return _execute(ws, container, request, attachment)


@contextmanager
def _not_started() -> Iterator[None]:
    """Whatever keeps a process from being started is 126 to docker's `exec`, but for a program that is not there."""
    try:
        yield
    except RuntimeProblem as error:
        if error.exit_code == CommandNotFound.exit_code:
            raise
        raise StartFailed(str(error), CommandNotExecutable.exit_code, error.hint) from error


def _execute(ws: Workspace, container: Container, request: ExecRequest, attachment: Attachment) -> int | None:
    record = container.record
    spec = exec_spec(ws, record, request)
    exec_id = secrets.token_hex(32)
    words = f"{request.args[0]} {' '.join(request.args[1:])}"
    events.tell(ws, record, f"exec_create: {words}", execID=exec_id)

    def start(io: ProcessIO) -> Handle:
        handle = ws.runtime_called(record.runtime).exec(started_of(container), spec, io)
        events.tell(ws, record, f"exec_start: {words}", execID=exec_id)
        return handle

    if request.is_detached or request.has_terminal:
        return _execute_apart(ws, record, request, attachment, start, exec_id)
    code = attend(start, attachment.streams, has_terminal=False)
    events.tell(ws, record, "exec_die", execID=exec_id, exitCode=str(code))
    return code


def _ready(ws: Workspace, name: str) -> Container:
    """Return a container in which a process can be started. Raises: NoSuchContainer, ContainerConflict."""
    state = ws.store.containers.find(name).state.status
    if state is ContainerState.PAUSED:
        raise InvalidState(f"Container {name} is paused, unpause the container before exec")
    if state is ContainerState.RESTARTING:
        raise InvalidState(f"Container {name} is restarting, wait until the container is running")
    return running(ws, name)


def exec_spec(ws: Workspace, record: ContainerRecord, request: ExecRequest) -> ProcessSpec:
    """Return the process that ``request`` asks for. Raises: RuntimeProblem (an unknown user), InvalidRequest."""
    user = container_user(ws, record, request.user) if request.user else record.user
    env = rules.chosen_env(record.env, request.env, request.environment)
    return ProcessSpec(
        id=record.id,
        args=request.args,
        env=rules.process_variables(env, user, hostname=record.hostname, has_terminal=request.has_terminal),
        rootfs=RootFs(
            upper=ws.store.containers.path(record.id, "upper"), owners=ws.store.containers.path(record.id, "owners")
        ),
        cwd=rules.working_directory(request.cwd, record.cwd),
        user=user,
        hostname=record.hostname,
        networking=record.networking,
        security=record.security.extended() if request.is_privileged else record.security,
        resources=record.resources,
        has_terminal=request.has_terminal,
        make_cwd=False,
    )


def _execute_apart(
    ws: Workspace,
    record: ContainerRecord,
    request: ExecRequest,
    attachment: Attachment,
    start: Callable[[ProcessIO], Handle],
    exec_id: str,
) -> int | None:
    """Run a process that can go on without the caller: its monitor is a process of its own."""
    ours, theirs = (-1, -1) if request.is_detached else attach_socket.pair()
    size = None if request.is_detached else attachment.size()

    def begin() -> Orders:
        wiring = Wiring(has_terminal=request.has_terminal, has_stdin=False, size=size)
        handle = start(wiring.io)
        wiring.close_theirs()
        return orders_of(ws, record.id, handle, wiring, clients=[theirs] if theirs >= 0 else [], exec_id=exec_id)

    try:
        in_background(begin, keeps=[theirs] if theirs >= 0 else [])
    except BaseException:
        if ours >= 0:
            os.close(ours)
        raise
    if request.is_detached:
        return 0
    client = Client(ours, attachment, has_terminal=request.has_terminal)
    try:
        return client.follow()
    finally:
        client.close()


def container_user(ws: Workspace, record: ContainerRecord, spec: str) -> User:
    """Return the user that ``spec`` names in the container's passwd and group files, as they are now.

    Raises: RuntimeProblem.
    """
    upper = ws.store.containers.path(record.id, "upper")
    written = [_written(upper, name) for name in ("passwd", "group")]
    passwd, group = written if all(written) else ImageFiles(ws, record.diff_ids).accounts
    passwd, group = written[0] or passwd, written[1] or group
    return resolve_user(spec, passwd, group).joining(resolve_groups(record.security.asked.groups, group))


def _written(upper: str, name: str) -> str | None:
    """Return the text of etc/NAME if the container has written it; no link is followed: it could lead anywhere."""
    try:
        directory = os.open(f"{upper}/etc", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return None
    finally:
        os.close(directory)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LIMIT:
            return None
        return file.read(_LIMIT).decode("utf-8", "surrogateescape")
