"""Runs processes with system calls from Python: no helper program, no daemon, with or without root.

The work is done by a stub process (`minidock.runtime.stub`); this module gives it its orders.
"""

from __future__ import annotations

import os
import signal as signals
import sys
import threading
from typing import Any

from minidock.core.id_mode import IdMode
from minidock.core.networking import NetworkKind
from minidock.core.process import ProcessSpec
from minidock.errors import CommandNotExecutable, CommandNotFound, NoRuntime, RuntimeProblem
from minidock.runtime import interpreter, monitor, spawn
from minidock.runtime.base import Isolation, ProcessIO, RuntimeReport, Started, Storage
from minidock.runtime.circumstances import circumstances
from minidock.runtime.host_processes import HostProcesses
from minidock.runtime.ids import id_mode
from minidock.runtime.launch import launch_of, process_of
from minidock.runtime.limits import limits_of_exec, limits_of_start
from minidock.runtime.orders import Join, Oci

NATIVE = "native"


class NativeHandle:
    """A process whose monitor is a child of this program: `wait` works in the program that started it only."""

    def __init__(self, stub: spawn.Stub, started: Started) -> None:
        self._stub = stub
        self._started = started

    @property
    def started(self) -> Started:
        return self._started

    @property
    def child(self) -> int:
        return self._stub.pid

    def wait(self) -> int:
        return self._stub.wait()

    def kill(self, signal: int) -> None:
        send_signal(self._started, signal)


class NativeRuntime(HostProcesses):
    """The `Runtime` of this machine. ``isolation`` and ``storage`` force one kind; by default the first that works."""

    def __init__(self, isolation: Isolation | None = None, storage: Storage | None = None) -> None:
        super().__init__()
        self._forced = isolation
        self._storage = storage
        self._found: RuntimeReport | None = None
        self._python: tuple[int, int] | None = None  # of which process, and the descriptor: a fork may have closed it
        self._waiting: spawn.Waiting | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return NATIVE

    def probe(self, directory: str) -> RuntimeReport:
        if self._forced is None:
            self._found = _probe(directory)
            return self._found
        if self._storage is not None:
            self._found = _forced_report(self._forced, self._storage)
            return self._found
        found = _probe(directory) if self._forced is Isolation.NAMESPACES else None
        has_overlay = found is not None and found.has_overlay
        return RuntimeReport(self._forced, id_mode(), has_overlay, reasons=("this isolation was asked for",))

    def circumstances(self, directory: str) -> str:
        return "" if self._forced else circumstances(self.name, directory)

    def assume(self, report: RuntimeReport) -> None:
        self._found = report

    def prepare(self) -> None:
        executable = self._executable(is_exposed=self._forced is not Isolation.CHROOT)
        with self._lock:
            if self._waiting is None:
                self._waiting = spawn.Waiting(executable)

    def dismiss(self) -> None:
        waiting = self._taken()
        if waiting is not None:
            waiting.dismiss()

    def start(self, spec: ProcessSpec, io: ProcessIO) -> NativeHandle:
        isolation = self._isolation(spec)
        is_chroot = isolation is Isolation.CHROOT
        if is_chroot:
            _check_chroot(spec)
        oci = self._oci(spec, is_joining=False)
        limits = limits_of_start(self._groups, spec)
        orders = launch_of(spec, limits, is_chroot=is_chroot, id_mode=id_mode(), oci=oci, fuse=self._fuse())
        return self._launch("start", orders, spec, io, is_exposed=not is_chroot)

    def exec(self, started: Started, spec: ProcessSpec, io: ProcessIO) -> NativeHandle:
        mode = id_mode()
        orders = Join(
            process=process_of(spec, limits_of_exec(self._groups, started, spec), id_mode=mode),
            pid=started.pid,
            start_ticks=started.start_ticks,
            is_single_id=mode is IdMode.SINGLE,
            base=os.path.abspath(spec.rootfs.copied or spec.rootfs.upper or "/"),
            owners=os.path.abspath(spec.rootfs.owners) if spec.rootfs.owners else "",
            oci=self._oci(spec, is_joining=True),
        )
        return self._launch("join", orders, spec, io, is_exposed=True)

    def signal(self, started: Started, signal: int) -> bool:
        return send_signal(started, signal)

    def _launch(self, verb: str, orders: object, spec: ProcessSpec, io: ProcessIO, *, is_exposed: bool) -> NativeHandle:
        stub = spawn.spawn(
            verb,
            orders,
            executable=self._executable(is_exposed=is_exposed),
            streams=(io.stdin, io.stdout, io.stderr),
            on_terminal=_terminal_receiver(io) if spec.has_terminal else None,
            waiting=self._taken(),
        )
        try:
            said = stub.messages()
        except BaseException:  # Ctrl-C, above all: nobody would ever wait for the process
            stub.end()
            raise
        return NativeHandle(stub, self._started(stub, spec.args[0], said))

    def _taken(self) -> spawn.Waiting | None:
        """Return the stub that waits, if one does; it is the caller's now."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
            return waiting

    def _oci(self, spec: ProcessSpec, *, is_joining: bool) -> Oci | None:
        """Return which other program is to start the process; here none."""
        return None

    def _started(self, stub: spawn.Stub, command: str, said: list[tuple[Any, ...]]) -> Started:
        started: Started | None = None
        ports: tuple[tuple[int, str, str, int], ...] = ()
        for message in said:
            if message[0] == "ports":
                ports = tuple(message[1])
            elif message[0] == "started":
                started = Started(pid=message[1], start_ticks=message[2], ports=ports)
            else:
                stub.wait()
                raise self._failure(command, message)
        if started is None:
            raise RuntimeProblem(f"the launcher ended before the process was started (exit code {stub.wait()})")
        return started

    def _failure(self, command: str, message: tuple[Any, ...]) -> RuntimeProblem:
        kind, text = message[0], message[1]
        if kind == "not-found":
            return CommandNotFound(command, text) if text else CommandNotFound(command)
        if kind == "not-executable":
            return CommandNotExecutable(command, text)
        return RuntimeProblem(text)

    def _isolation(self, spec: ProcessSpec) -> Isolation:
        if self._forced is not None:
            return self._forced
        with self._lock:
            if self._found is None:
                self._found = _probe(spec.rootfs.copied or spec.rootfs.upper)
        if self._found.isolation is Isolation.UNAVAILABLE:
            raise NoRuntime("nothing on this machine can isolate a process", hint="; ".join(self._found.reasons))
        return self._found.isolation

    def _fuse(self) -> str:
        return self._found.fuse if self._found is not None else ""

    def _executable(self, *, is_exposed: bool) -> str:
        if not is_exposed or not interpreter.is_writable():
            return sys.executable
        with self._lock:
            if self._python is None or self._python[0] != os.getpid():
                self._python = (os.getpid(), interpreter.protected())
            return f"/proc/self/fd/{self._python[1]}"


def _probe(directory: str) -> RuntimeReport:
    from minidock.runtime.probe import probe  # what it needs is loaded for a trial only: most runs remember one

    return probe(directory)


def _forced_report(isolation: Isolation, storage: Storage) -> RuntimeReport:
    from minidock.runtime.probe import fuse_program

    fuse = fuse_program() if storage is Storage.FUSE else ""
    reasons = ("this isolation and this storage were asked for",)
    return RuntimeReport(isolation, id_mode(), has_overlay=storage is not Storage.COPY, reasons=reasons, fuse=fuse)


def send_signal(started: Started, signal: int) -> bool:
    """Send a signal to the process that ``started`` names; False if it has ended."""
    try:
        fd = os.pidfd_open(started.pid)
    except ProcessLookupError:
        return False
    try:
        if monitor.start_ticks(started.pid) != started.start_ticks:
            return False
        signals.pidfd_send_signal(fd, signal)
    except (FileNotFoundError, ProcessLookupError):
        return False
    finally:
        os.close(fd)
    return True


def _terminal_receiver(io: ProcessIO) -> Any:
    return io.on_terminal or os.close


def _check_chroot(spec: ProcessSpec) -> None:
    missing = "without namespaces (root without CAP_SYS_ADMIN)"
    if spec.files:
        raise RuntimeProblem(f"cannot mount {spec.files[0].target}: secrets do not work {missing}")
    if spec.mounts:
        raise RuntimeProblem(f"cannot mount {spec.mounts[0].target}: volumes do not work {missing}")
    if spec.networking.kind is not NetworkKind.HOST:
        raise RuntimeProblem(f"a process can have no network of its own {missing}", hint="use --network host")
    if not spec.rootfs.copied:
        raise RuntimeProblem(f"a copied root file system is needed {missing}")
