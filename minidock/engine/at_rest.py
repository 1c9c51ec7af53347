"""Keeping a container that does not run from being started while its files are read or changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.core.summary import ContainerState
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest
from minidock.store.containers import Container
from minidock.store.locks import open_lock, try_lock

_PAUSE = 0.02
_PATIENCE = 10.0  # others copy files too, or it is just being started or ended


@contextmanager
def at_rest(ws: Workspace, container: Container, *, exclusive: bool) -> Iterator[tuple[Container, int]]:
    """Give a container as it is now and its lock file, locked; -1 if it has a process, which nothing keeps it from.

    Those who only read share the lock. Raises: InvalidRequest if others hold it for long, NoSuchContainer.
    """
    lock, until = open_lock(ws.store.containers.path(container.id, "lock")), time.monotonic() + _PATIENCE
    try:
        while not container.has_process and not try_lock(lock, exclusive=exclusive):
            if container.state.status is ContainerState.RESTARTING or time.monotonic() > until:
                raise InvalidRequest(f"container {container.id} is being started or ended: try again")
            time.sleep(_PAUSE)
            container = ws.store.containers.get(container.id)
        yield container, -1 if container.has_process else lock
    finally:
        os.close(lock)
