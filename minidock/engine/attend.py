"""Being the monitor of a process in the foreground: its streams, its signals, its exit code."""

from __future__ import annotations

import os
import signal as signals
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from minidock.core.dataclass import dataclass
from minidock.engine.relay import Input, relay
from minidock.runtime import terminal
from minidock.runtime.base import Handle, ProcessIO
from minidock.store.container_log import STDERR, STDOUT, LogWriter

if TYPE_CHECKING:
    from minidock.engine.relay import Sink

_FORWARDED = (signals.SIGHUP, signals.SIGINT, signals.SIGQUIT, signals.SIGTERM, signals.SIGUSR1, signals.SIGUSR2)
_REQUESTS = (signals.SIGHUP, signals.SIGINT, signals.SIGQUIT, signals.SIGTERM)
_ENDING = (*_REQUESTS, signals.SIGPIPE)
_MASKS = ("SigBlk:", "SigIgn:", "SigCgt:")
_PATIENCE = 3  # so many requests to end are enough


@dataclass(frozen=True, slots=True)
class Streams:
    """The caller's streams (descriptors); None: the process gets none, or what it prints is not shown."""

    stdin: int | None
    stdout: int | None
    stderr: int | None


class Wiring:
    """The ends of what connects a process with its monitor: three pipes, or a terminal."""

    def __init__(self, *, has_terminal: bool, has_stdin: bool, size: tuple[int, int] | None = None) -> None:
        self.master = -1
        self._size = size
        self.stdout = self.stderr = self.stdin = -1
        self._theirs: list[int] = []
        if has_terminal:
            self.io = ProcessIO(on_terminal=self._take)
            return
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        self._theirs = [stdout, stderr]
        stdin = None
        if has_stdin:
            stdin, self.stdin = os.pipe()
            self._theirs.append(stdin)
        self.io = ProcessIO(stdin, stdout, stderr)

    def _take(self, master: int) -> None:
        self.master = master
        if self._size is not None:
            terminal.set_size(master, *self._size)

    @property
    def outputs(self) -> dict[int, str]:
        """What the process prints to, each with the name of the stream."""
        return {self.master: STDOUT} if self.master >= 0 else {self.stdout: STDOUT, self.stderr: STDERR}

    @property
    def input(self) -> int:
        """Where what is typed goes; -1 if nowhere."""
        return self.master if self.master >= 0 else self.stdin

    def close_theirs(self) -> None:
        """Close what the process has by now: otherwise no stream would ever end."""
        while self._theirs:
            os.close(self._theirs.pop())

    def close(self) -> None:
        """Close everything, where the process could not be started."""
        self.close_theirs()
        for fd in {self.master, self.stdout, self.stderr, self.stdin} - {-1}:
            os.close(fd)


def attend(
    start: Callable[[ProcessIO], Handle], streams: Streams, *, has_terminal: bool, log: LogWriter | None = None
) -> int:
    """Start a process, be between it and the caller until it ends, and return its exit code.

    What it prints goes to the caller's streams and into ``log``; signals that this process gets are passed on.
    """
    wiring = Wiring(has_terminal=has_terminal, has_stdin=streams.stdin is not None)
    with Forwarding().installed() as forwarding:
        try:
            handle = start(wiring.io)
        except BaseException:
            wiring.close()
            raise
        wiring.close_theirs()
        forwarding.to(handle)
        _relay(wiring, streams, handle, log, lambda: forwarding.pass_on(signals.SIGPIPE))
        return forwarding.code(handle.wait())


def _relay(
    wiring: Wiring, streams: Streams, handle: Handle, log: LogWriter | None, when_broken: Callable[[], None]
) -> None:
    with ExitStack() as stack:
        target = wiring.stdin
        if wiring.master >= 0:
            outputs = {wiring.master: _sink(streams.stdout, STDOUT, log, when_broken)}
            if streams.stdin is not None:
                stack.enter_context(terminal.raw_mode(streams.stdin))
                if threading.current_thread() is threading.main_thread():
                    stack.enter_context(terminal.following_size(streams.stdin, wiring.master))
                target = os.dup(wiring.master)
        else:
            outputs = {
                wiring.stdout: _sink(streams.stdout, STDOUT, log, when_broken),
                wiring.stderr: _sink(streams.stderr, STDERR, log, when_broken),
            }
        stdin = None if streams.stdin is None else Input(streams.stdin, target)
        ended = stack.enter_context(_end_of(handle))
        relay(outputs, ended, stdin)
        if stdin is not None:
            stdin.close()


def _sink(target: int | None, stream: str, log: LogWriter | None, when_broken: Callable[[], None]) -> Sink:
    def write(data: bytes) -> None:
        if log is not None:
            log.write(stream, data)
        if target is None:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(target, view) :]
        except BrokenPipeError:
            when_broken()
            raise

    return write


@contextmanager
def _end_of(handle: Handle) -> Iterator[int]:
    """Give a descriptor that becomes readable when the process has ended."""
    read_end, write_end = os.pipe()

    def wait() -> None:
        handle.wait()
        os.close(write_end)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    try:
        yield read_end
    finally:
        os.close(read_end)


class Forwarding:
    """Passes signals on to a process.

    The first process of a PID namespace is shielded from signals that it does not handle. Outside it would end; so it
    is ended here, and the exit code is that of the signal. The third request to end is not a request any more.
    """

    def __init__(self) -> None:
        self._handle: Handle | None = None
        self._early: list[int] = []
        self._requests = 0
        self._ended_by = 0

    @contextmanager
    def installed(self) -> Iterator[Forwarding]:
        """Receive this process's signals while the body runs; those that it ignores stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signals.getsignal(number) for number in _FORWARDED}
        try:
            for number, handler in before.items():
                if handler is not signals.SIG_IGN:
                    signals.signal(number, self._received)
            yield self
        finally:
            for number, handler in before.items():
                signals.signal(number, handler)

    def to(self, handle: Handle) -> None:
        """Name the process, and pass on what came before it was there."""
        self._handle = handle
        for number in self._early:
            self.pass_on(number)

    def code(self, code: int) -> int:
        """Return the exit code: that of the signal if it was one that ended the process in the end."""
        return 128 + self._ended_by if self._ended_by and code == 128 + signals.SIGKILL else code

    def pass_on(self, number: int) -> None:
        """Do to the process what the signal would do to one that is not the first of its namespace."""
        if self._handle is None:
            self._early.append(number)
            return
        self._requests += number in _REQUESTS
        if self._requests >= _PATIENCE or (number in _ENDING and _is_default(self._handle.started.pid, number)):
            self._ended_by = number
            self._handle.kill(signals.SIGKILL)
        else:
            self._handle.kill(number)

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self.pass_on(number)


def _is_default(pid: int, number: int) -> bool:
    """Whether a process neither handles nor ignores a signal, nor waits for it (an init)."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            masks = [int(line.split()[1], 16) for line in file if line.startswith(_MASKS)]
    except OSError:
        return False
    return bool(masks) and not any(mask >> (number - 1) & 1 for mask in masks)
