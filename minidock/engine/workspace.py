"""What every use case works with, in one value: the store, the runtime, the clock."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from minidock.core.process import IdMode
from minidock.runtime.base import Runtime
from minidock.store.locks import Waiting
from minidock.store.store import Store


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Collaborators of the use cases. The runtime is made when it is first needed: most commands start no process."""

    store: Store
    clock: Clock
    runtime_override: Runtime | None = None

    @property
    def runtime(self) -> Runtime:
        """The runtime that processes are started with."""
        if self.runtime_override is not None:
            return self.runtime_override
        from minidock.runtime.native import NativeRuntime

        return NativeRuntime()

    def with_runtime(self, runtime: Runtime) -> Workspace:
        """Return the same workspace with another runtime."""
        return replace(self, runtime_override=runtime)


def open_workspace(root: str, waiting: Waiting | None = None) -> Workspace:
    """Return the workspace of the store at ``root``; nothing is created before something is written.

    Raises: StoreForeign if the store is another user's or of another id mode.
    """
    uid = os.geteuid()
    id_mode = IdMode.ROOT if uid == 0 else IdMode.SINGLE
    store = Store(root, uid=uid, id_mode=id_mode, boot_id=boot_id(), waiting=waiting)
    return Workspace(store, SystemClock())


def boot_id() -> str:
    """Return the kernel's name for the time since the machine was started."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
