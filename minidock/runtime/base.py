"""The contract of everything that can run a process in a root file system.

Implementations: `native` (system calls from Python) and `fake` (tests). One that calls crun or runc would be a
function from `ProcessSpec` to an OCI bundle. One contract suite (``tests/runtime/contract.py``) runs over them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from minidock.core.dataclass import dataclass
from minidock.core.id_mode import IdMode
from minidock.core.process import ProcessSpec
from minidock.core.resources import Resources

if TYPE_CHECKING:
    from minidock.core.stats import Sample


class Isolation(StrEnum):
    """How a process is kept apart."""

    NAMESPACES = "namespaces"
    CHROOT = "chroot"  # root without CAP_SYS_ADMIN: a changed root directory and nothing else
    UNAVAILABLE = "unavailable"


class Storage(StrEnum):
    """How the root file system of a process is made, best first."""

    OVERLAY = "overlay"
    FUSE = "fuse-overlayfs"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class RuntimeReport:
    """What was found by trying; ``reasons`` explain every feature that is missing, with its remedy.

    ``has_overlay`` says that layers can be stacked: by the kernel, or by the program ``fuse``.
    """

    isolation: Isolation
    id_mode: IdMode
    has_overlay: bool
    reasons: tuple[str, ...] = ()
    fuse: str = ""

    @property
    def storage(self) -> Storage:
        """How root file systems are made."""
        if self.fuse:
            return Storage.FUSE
        return Storage.OVERLAY if self.has_overlay else Storage.COPY

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return self.isolation is Isolation.NAMESPACES and self.has_overlay and not self.reasons


@dataclass(frozen=True, slots=True)
class ProcessIO:
    """Where a process's streams go.

    ``stdin``, ``stdout`` and ``stderr`` are descriptors of the caller that the process gets as its own (the caller
    keeps and closes them), or None for /dev/null. With ``spec.has_terminal`` the process gets a terminal of its own:
    ``on_terminal`` receives the descriptor of its other end (and owns it) before the process starts.
    """

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    on_terminal: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A running process: the PID of its first process on the host and when that started (clock ticks since boot).

    Together they name a process for ever: a PID alone is used again.
    """

    pid: int
    start_ticks: int
    ports: tuple[tuple[int, str, str, int], ...] = field(default=(), compare=False)  # published, as bound


class Handle(Protocol):
    """A process that this program started and must wait for."""

    @property
    def started(self) -> Started: ...

    @property
    def child(self) -> int:
        """The PID of the child of this program that ends, with the exit code, when the process has ended."""
        ...

    def wait(self) -> int:
        """Return the exit code, 128 + n after signal n. Everything that was mounted is gone by then."""
        ...

    def kill(self, signal: int) -> None:
        """Send ``signal`` to the first process; nothing happens if it has ended."""
        ...


class Runtime(Protocol):
    """Runs processes. Methods raise `RuntimeProblem` (125), `CommandNotExecutable` (126), `CommandNotFound` (127)."""

    @property
    def name(self) -> str:
        """What users call it (``native``, ``crun``)."""
        ...

    def probe(self, directory: str) -> RuntimeReport:
        """Return what works for a store in ``directory``. Tries it for real; leaves nothing behind."""
        ...

    def circumstances(self, directory: str) -> str:
        """Return all that the answer of `probe` depends on, as a line of text; empty if it has to be tried each time.

        Takes a few system calls, no trial.
        """
        ...

    def assume(self, report: RuntimeReport) -> None:
        """Go by what an earlier `probe` of the same store has found, in the same circumstances."""
        ...

    def prepare(self) -> None:
        """Do ahead what `start` and `exec` need whatever is started, beside the caller's own work; once is enough.

        What starts nothing then has to `dismiss` it.
        """
        ...

    def dismiss(self) -> None:
        """Undo `prepare`; nothing happens if a process has been started since."""
        ...

    def start(self, spec: ProcessSpec, io: ProcessIO) -> Handle:
        """Start the process; return once it has been executed (or raise if that failed)."""
        ...

    def exec(self, started: Started, spec: ProcessSpec, io: ProcessIO) -> Handle:
        """Start one more process inside the container of ``started``; ``spec.rootfs`` and mounts are not looked at."""
        ...

    def signal(self, started: Started, signal: int) -> bool:
        """Send ``signal`` to a container of another process of this program; False if it has ended."""
        ...

    def is_running(self, started: Started) -> bool:
        """Whether the first process of a container still runs (PID reuse is recognised)."""
        ...

    def shortcomings(self, resources: Resources) -> tuple[str, ...]:
        """Return what of the limits is not kept here as it is asked for, one phrase each."""
        ...

    def limit(self, started: Started, name: str, resources: Resources) -> None:
        """Change the limits of the running container whose spec had the ID ``name``."""
        ...

    def processes(self, started: Started) -> tuple[int, ...]:
        """Return the PIDs, as this program sees them, of all processes of a container."""
        ...

    def pause(self, started: Started, name: str) -> None:
        """Halt every process of the container whose spec had the ID ``name``; return when all have stopped."""
        ...

    def resume(self, started: Started) -> None:
        """Let the processes of a paused container go on."""
        ...

    def sample(self, started: Started) -> Sample:
        """Return what a container uses at this moment. Raises: RuntimeProblem if it has ended."""
        ...

    def sweep(self, is_dead: Callable[[str], bool]) -> None:
        """Remove what killed monitors have left behind of the containers whose IDs ``is_dead`` knows to have ended."""
        ...
