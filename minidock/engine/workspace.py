"""What every use case works with, in one value: the store, the runtime, the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

from minidock.core.id_mode import IdMode
from minidock.engine.runtimes import make_runtime
from minidock.runtime import ids
from minidock.store.identity import read_identity
from minidock.store.layout import Layout
from minidock.store.locks import Waiting
from minidock.store.store import Store

if TYPE_CHECKING:
    from minidock.runtime.base import Runtime, RuntimeReport


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


class Workspace:
    """Collaborators of the use cases: the store, the clock, and the runtime, which is made when it is first needed.

    ``runtime_name`` is what the user calls the runtime, empty for the usual one: it tells without making one.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        make_runtime: Callable[[], Runtime] = make_runtime,
        runtime_name: str = "",
    ) -> None:
        self.store = store
        self.clock = clock
        self.runtime_name = runtime_name
        self._make_runtime = make_runtime
        self.report: RuntimeReport | None = None  # what probing the runtime has found: every RUN asks for it

    @cached_property
    def runtime(self) -> Runtime:
        """The runtime that processes are started with; one for the life of the workspace, it remembers its probe."""
        return self._make_runtime()

    def runtime_called(self, name: str) -> Runtime:
        """Return the runtime that a container was made for, this or another. Raises: InvalidRequest if it is gone."""
        return self.runtime if name == self.runtime.name else make_runtime(name)

    def with_runtime(self, runtime: Runtime) -> Workspace:
        """Return the same workspace with another runtime."""
        return Workspace(self.store, self.clock, lambda: runtime)


def open_workspace(root: str, waiting: Waiting | None = None, *, runtime: str = "") -> Workspace:
    """Return the workspace of the store at ``root``; nothing is created before something is written.

    ``runtime`` names what new processes are started with (`runtimes.make_runtime`).

    Raises: StoreForeign if the store is another user's or of another id mode.
    """
    id_mode, id_maps = ids.id_mode(), ""
    if id_mode is IdMode.RANGE:
        id_maps = ids.id_maps()
    elif id_mode is IdMode.SINGLE and is_for_range(root):
        id_mode = IdMode.RANGE  # who only reads needs none of the ids
    store = Store(root, uid=ids.outside_uid(), id_mode=id_mode, id_maps=id_maps, boot_id=boot_id(), waiting=waiting)
    return Workspace(store, SystemClock(), partial(make_runtime, runtime), runtime)


def is_for_range(root: str) -> bool:
    """Whether there is a store whose files have ids of a range."""
    try:
        found = read_identity(Layout(root))
    except PermissionError:
        return False  # another user's, which opening it will say
    return found is not None and found.id_mode is IdMode.RANGE


def boot_id() -> str:
    """Return the kernel's name for the time since the machine was started."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
