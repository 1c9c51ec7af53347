"""`exec`: one more process in a running container."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from minidock.core import container as rules
from minidock.core.entries import FILE
from minidock.core.process import ProcessSpec, RootFs, User
from minidock.core.users import resolve_user
from minidock.engine.attend import Streams, attend
from minidock.engine.containers import running, started_of
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidState
from minidock.store.container_record import ContainerRecord
from minidock.store.layers import Contents

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


def execute(ws: Workspace, name: str, request: ExecRequest, streams: Streams) -> int:
    """Run a process in a container and return its exit code.

    Raises: NoSuchContainer, ContainerNotRunning, RuntimeProblem.
    """
    container = running(ws, name)
    if container.is_paused:
        raise InvalidState(f"Container {name} is paused, unpause the container before exec")
    record = container.record
    user = container_user(ws, record, request.user) if request.user else record.user
    env = rules.chosen_env(record.env, request.env, request.environment)
    spec = ProcessSpec(
        id=record.id,
        args=request.args,
        env=rules.process_variables(env, user, hostname=record.hostname, has_terminal=request.has_terminal),
        rootfs=RootFs(),
        cwd=rules.working_directory(request.cwd, record.cwd),
        user=user,
        hostname=record.hostname,
        networking=record.networking,
        security=record.security,
        resources=record.resources,
        has_terminal=request.has_terminal,
        make_cwd=False,
    )
    started = started_of(container)
    runtime = ws.runtime_called(record.runtime)
    return attend(lambda io: runtime.exec(started, spec, io), streams, has_terminal=request.has_terminal)


def container_user(ws: Workspace, record: ContainerRecord, spec: str) -> User:
    """Return the user that ``spec`` names in the container's passwd and group files, as they are now.

    Raises: RuntimeProblem.
    """
    upper = ws.store.containers.path(record.id, "upper")
    texts = [_written(upper, name) or _of_image(ws, record, f"etc/{name}") for name in ("passwd", "group")]
    return resolve_user(spec, texts[0], texts[1])


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


def _of_image(ws: Workspace, record: ContainerRecord, path: str) -> str | None:
    tree = ws.store.layers.tree(record.diff_ids)
    entry = tree.get(tree.resolve(path))
    if entry is None or entry.kind != FILE:
        return None
    with Contents(ws.store.blobs, ws.store.layers, record.diff_ids) as contents:
        return contents.read(entry, _LIMIT).decode("utf-8", "surrogateescape")
