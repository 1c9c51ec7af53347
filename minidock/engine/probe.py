"""One look at a container's health: a program that the container's monitor starts each time (`probing`)."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence

from minidock.core.health import MOST_OUTPUT, NANOSECONDS, TIMED_OUT, Health, HealthResult, is_in_start_period
from minidock.engine import events
from minidock.engine.containers import started_of
from minidock.engine.exec import ExecRequest, exec_spec
from minidock.engine.probing import STILL_STARTING
from minidock.engine.workspace import Workspace, open_workspace
from minidock.errors import MinidockError, NoSuchContainer
from minidock.runtime.base import ProcessIO
from minidock.store.containers import Container

_SIGKILL = 9
_CHUNK_SIZE = 1 << 16


def main(args: Sequence[str]) -> None:
    """Check the health of the container ``args[1]`` in the store ``args[0]``."""
    root, container_id = args
    try:
        sys.exit(STILL_STARTING if check(open_workspace(root), container_id) else 0)
    except NoSuchContainer:
        return  # removed meanwhile


def check(ws: Workspace, container_id: str) -> bool:
    """Run a container's health check and write down the result; return whether its start period goes on.

    Raises: NoSuchContainer.
    """
    containers = ws.store.containers
    container = containers.get(container_id)
    test = container.record.lifecycle.health
    started_at = container.state.started_at or ws.clock.now()
    if container.is_running:
        result = _result(ws, container)
        before = containers.health(container_id) or Health()
        after = before.after(result, test, started_at)
        if not containers.get(container_id).is_running:
            return False  # it has ended under the check: that says nothing
        containers.write_health(container_id, after)
        if after.status is not before.status:
            events.tell(ws, container.record, f"health_status: {after.status}")
    return is_in_start_period(test, (ws.clock.now() - started_at).total_seconds())


def _result(ws: Workspace, container: Container) -> HealthResult:
    record = container.record
    life = record.lifecycle
    start = ws.clock.now()
    try:
        request = ExecRequest(life.health.command(life.health_shell))
        code, text = _run(ws, container, request, life.health.patience / NANOSECONDS)
    except MinidockError as error:
        code, text = -1, str(error)
    if code == TIMED_OUT and life.health.patience and not text.startswith("exec"):
        text = f"Health check exceeded timeout ({_duration(life.health.patience)})" + (f": {text}" if text else "")
    return HealthResult(start, ws.clock.now(), code, text)


def _run(ws: Workspace, container: Container, request: ExecRequest, seconds: float) -> tuple[int, str]:
    """Run the check; return its exit code and the beginning of what it printed; `TIMED_OUT` if it had to be killed."""
    read_end, write_end = os.pipe()
    try:
        spec = exec_spec(ws, container.record, request)
        handle = ws.runtime_called(container.record.runtime).exec(
            started_of(container), spec, ProcessIO(None, write_end, write_end)
        )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    ended = os.pidfd_open(handle.child)
    output = b""
    until = time.monotonic() + seconds
    is_over = False
    while True:
        left = 0 if is_over else max(0, until - time.monotonic())
        ready = select.select([read_end, ended], [], [], left)[0]
        if read_end in ready:
            data = os.read(read_end, _CHUNK_SIZE)
            output = (output + data)[: MOST_OUTPUT + 1]
            if not data:
                break
        elif is_over or not ready:
            break
        is_over = is_over or ended in ready
    is_late = not is_over and not select.select([ended], [], [], max(0, until - time.monotonic()))[0]
    os.close(read_end)
    os.close(ended)
    if is_late:
        handle.kill(_SIGKILL)
    code = handle.wait()
    text = output[:MOST_OUTPUT].decode("utf-8", "replace") + ("..." if len(output) > MOST_OUTPUT else "")
    return (TIMED_OUT if is_late else code), text


def _duration(nanoseconds: int) -> str:
    """Return a length of time as Go prints it, for whole and broken seconds."""
    minutes, seconds = divmod(nanoseconds / NANOSECONDS, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{seconds:g}s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
