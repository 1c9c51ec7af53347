"""A runtime for tests: programs are Python functions that change the root file system."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from minidock.core.id_mode import IdMode
from minidock.core.process import ProcessSpec
from minidock.core.resources import Resources
from minidock.core.stats import Sample
from minidock.errors import CommandNotFound, RuntimeProblem
from minidock.runtime.base import Isolation, ProcessIO, RuntimeReport, Started

# What a program did: its exit code, or what it printed (and 0), or nothing (0).
Program = Callable[[Path], int | str | None]


class UntilSignalled:
    """Stands for a program that runs until it gets a signal."""


UNTIL_SIGNALLED: Final = UntilSignalled()


class FakeHandle:
    """A process of `FakeRuntime`; without ``code`` it runs until it gets a signal."""

    def __init__(self, started: Started, code: int | None) -> None:
        self._started = started
        self._code = code
        self._ended = threading.Event()
        if code is not None:
            self._ended.set()

    @property
    def started(self) -> Started:
        return self._started

    @property
    def child(self) -> int:
        raise ProcessLookupError("a program that is a function has no process")

    def wait(self) -> int:
        self._ended.wait()
        return self._code or 0

    def kill(self, signal: int) -> None:
        if not self._ended.is_set() and signal:
            self._code = 128 + signal
            self._ended.set()

    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._ended.is_set()


class FakeRuntime:
    """Runs ``programs``, found by the first argument or, for ``/bin/sh -c TEXT``, by the text.

    A program gets the directory that receives its changes: the upper directory, or the copied root file system.
    It has run when `start` returns. ``ran`` holds every spec that was started, in order.
    ``paused`` is what is paused, ``limited`` what `limit` was told, ``samples`` what `sample` is to answer,
    ``left_over`` the names that `sweep` finds, ``lacks`` what `shortcomings` is to answer.
    """

    def __init__(
        self,
        programs: Mapping[str, Program | UntilSignalled] | None = None,
        *,
        report: RuntimeReport | None = None,
    ) -> None:
        self.ran: list[ProcessSpec] = []
        self.paused: set[Started] = set()
        self.limited: dict[str, Resources] = {}
        self.samples: list[Sample] = []
        self.left_over: list[str] = []
        self.lacks: tuple[str, ...] = ()
        self._programs = dict(programs or {})
        self._report = report or RuntimeReport(Isolation.NAMESPACES, IdMode.ROOT, has_overlay=True)
        self._handles: dict[Started, FakeHandle] = {}

    @property
    def name(self) -> str:
        return "fake"

    def probe(self, directory: str) -> RuntimeReport:
        return self._report

    def circumstances(self, directory: str) -> str:
        return ""

    def assume(self, report: RuntimeReport) -> None:
        self._report = report

    def prepare(self) -> None:
        pass  # nothing takes time

    def dismiss(self) -> None:
        pass

    def start(self, spec: ProcessSpec, io: ProcessIO) -> FakeHandle:
        return self._run(spec, io, Path(spec.rootfs.copied or spec.rootfs.upper))

    def exec(self, started: Started, spec: ProcessSpec, io: ProcessIO) -> FakeHandle:
        if not self.is_running(started):
            raise RuntimeProblem("the container is not running")
        return self._run(spec, io, Path(spec.rootfs.copied or spec.rootfs.upper))

    def signal(self, started: Started, signal: int) -> bool:
        if not self.is_running(started):
            return False
        self._handles[started].kill(signal)
        return True

    def is_running(self, started: Started) -> bool:
        return started in self._handles and not self._handles[started].has_ended()

    def shortcomings(self, resources: Resources) -> tuple[str, ...]:
        return self.lacks

    def limit(self, started: Started, name: str, resources: Resources) -> None:
        self.limited[name] = resources

    def processes(self, started: Started) -> tuple[int, ...]:
        return (started.pid,) if self.is_running(started) else ()

    def pause(self, started: Started, name: str) -> None:
        self.paused.add(started)

    def resume(self, started: Started) -> None:
        self.paused.discard(started)

    def sample(self, started: Started) -> Sample:
        if not self.is_running(started):
            raise RuntimeProblem("the container is not running")
        return self.samples.pop(0) if self.samples else Sample()

    def sweep(self, is_dead: Callable[[str], bool]) -> None:
        self.left_over = [name for name in self.left_over if not is_dead(name)]

    def _run(self, spec: ProcessSpec, io: ProcessIO, rootfs: Path) -> FakeHandle:
        program = self._find(spec)
        self.ran.append(spec)
        number = len(self.ran)
        code = None if isinstance(program, UntilSignalled) else _call(program, rootfs, spec, io)
        started = Started(pid=number, start_ticks=number)
        self._handles[started] = FakeHandle(started, code)
        return self._handles[started]

    def _find(self, spec: ProcessSpec) -> Program | UntilSignalled:
        for name in (spec.args[0], spec.args[2] if spec.args[:2] == ("/bin/sh", "-c") else None):
            if name in self._programs:
                return self._programs[name]
        raise CommandNotFound(spec.args[0])


def _call(program: Program, rootfs: Path, spec: ProcessSpec, io: ProcessIO) -> int:
    if not spec.has_terminal:
        return _print(program(rootfs), io.stdout)
    master, terminal = os.openpty()
    (io.on_terminal or os.close)(master)
    try:
        return _print(program(rootfs), terminal)
    finally:
        os.close(terminal)


def _print(result: int | str | None, stdout: int | None) -> int:
    if not isinstance(result, str):
        return result or 0
    if stdout is not None:
        os.write(stdout, result.encode())
    return 0
