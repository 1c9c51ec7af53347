"""Starts the stub and understands what it says: the parent's side of a launch.

A stub may be started ahead (`Waiting`): while the caller still prepares what it will order, the Python that carries it
out is loaded on another processor.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from minidock.errors import RuntimeProblem
from minidock.runtime import messages

_BOOT = "import sys; sys.path.append(sys.argv[1]); from minidock.runtime.stub import main; main()"
_BOOT_WAITING = _BOOT.replace("main()", "wait()").replace("import main", "import wait")
_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Stub:
    """A running stub. It ends its process when ``orders`` is closed, so keep this object until `wait` has returned."""

    def __init__(self, pid: int, orders: int, status: int) -> None:
        self._pid = pid
        self._orders = orders
        self._status = status
        self._code: int | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """The PID of the stub, a child of this process."""
        return self._pid

    def messages(self) -> list[tuple[Any, ...]]:
        """Return everything that the stub says until it has executed the program or failed."""
        said = []
        try:
            while True:
                said.append(messages.receive(self._status))
        except EOFError:
            os.close(self._status)
            return said

    def receive(self) -> tuple[Any, ...]:
        """Return the next thing that the stub says. Raises: EOFError if there is none."""
        said: tuple[Any, ...] = messages.receive(self._status)
        return said

    def tell(self, answer: object) -> None:
        """Answer a question of the stub."""
        messages.send(self._orders, answer)

    def close(self) -> None:
        """Listen no more; for those who have used `receive`."""
        os.close(self._status)

    def end(self) -> None:
        """Kill the process and reap the stub."""
        with self._lock:
            if self._code is None:
                os.close(self._orders)
                os.waitpid(self._pid, 0)
                self._code = 137

    def wait(self) -> int:
        """Reap the stub and return its exit code, 128 + n after signal n."""
        with self._lock:
            if self._code is None:
                code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
                self._code = 128 - code if code < 0 else code
                os.close(self._orders)
            return self._code


class Waiting:
    """A stub that has been started ahead, and waits for the descriptors of its process and its orders."""

    def __init__(self, executable: str) -> None:
        """Raises: RuntimeProblem."""
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            self._pid = _execute(executable, _BOOT_WAITING, (null, null, null, theirs.fileno()))
        finally:
            os.close(null)
            theirs.close()
        self._channel = ours
        self._parent = os.getpid()

    def take(self, descriptors: Sequence[int]) -> int | None:
        """Give it its descriptors, 0 and up; return its PID, or None if it cannot be used."""
        if self._parent != os.getpid():  # a fork could not wait for it
            self._channel.close()
            return None
        rights = struct.pack(f"{len(descriptors)}i", *descriptors)
        try:
            self._channel.sendmsg([b"d"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        except BrokenPipeError:
            self.dismiss()
            return None
        self._channel.close()
        return self._pid

    def dismiss(self) -> None:
        """Let it end, and reap it: it is not needed."""
        self._channel.close()
        if self._parent == os.getpid():
            os.waitpid(self._pid, 0)


def spawn(
    verb: str,
    orders: object,
    *,
    executable: str,
    streams: tuple[int | None, int | None, int | None] = (None, None, None),
    on_terminal: Callable[[int], None] | None = None,
    waiting: Waiting | None = None,
) -> Stub:
    """Start a stub with its orders, or use the one that is ``waiting``. ``executable`` is the file to run as Python.

    With ``on_terminal`` the other end of a terminal is received and handed over before this returns.
    Raises: RuntimeProblem if no process can be started.
    """
    orders_end, orders_write = os.pipe()
    status_read, status_end = os.pipe()
    terminal, terminal_end = _terminal_sockets() if on_terminal else (None, None)
    null = os.open(os.devnull, os.O_RDWR)
    wanted = [*(null if fd is None else fd for fd in streams), orders_end, status_end]
    wanted.append(null if terminal_end is None else terminal_end)
    try:
        pid = waiting.take(wanted) if waiting is not None else None
        if pid is None:
            pid = _execute(executable, _BOOT, wanted)
    except RuntimeProblem:
        os.close(orders_write)
        os.close(status_read)
        raise
    finally:
        for fd in (orders_end, status_end, null, *([] if terminal_end is None else [terminal_end])):
            os.close(fd)
    stub = Stub(pid, orders_write, status_read)
    try:
        messages.send(orders_write, (verb, orders))
        if terminal is not None and on_terminal is not None:
            _take_terminal(terminal, on_terminal)
    except BrokenPipeError:
        pass  # it ended at once; its exit code tells
    except BaseException:
        stub.end()
        raise
    return stub


def _execute(executable: str, boot: str, descriptors: Sequence[int]) -> int:
    """Start Python with ``descriptors`` as 0 and up; return its PID. Raises: RuntimeProblem."""
    # Copies above every number that a copy goes to: otherwise one could overwrite the source of another.
    sources = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 2 * messages.FIRST_FREE_FD) for fd in descriptors]
    try:
        return os.posix_spawn(
            executable,
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", boot, _PACKAGE_ROOT],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, source, number) for number, source in enumerate(sources)],
            setpgroup=0,  # Ctrl-C on the terminal of the parent is not for the monitor
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT],
        )
    except OSError as error:
        raise RuntimeProblem(f"cannot start {sys.executable}: {error.strerror}") from error
    finally:
        for fd in sources:
            os.close(fd)


def _terminal_sockets() -> tuple[int, int]:
    import socket  # takes longer to load than everything else here, and few processes have a terminal

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return ours.detach(), theirs.detach()


def _take_terminal(end: int, on_terminal: Callable[[int], None]) -> None:
    import socket

    with socket.socket(fileno=end) as peer:
        _, descriptors, _, _ = socket.recv_fds(peer, 1, 1)
        if descriptors:
            os.set_inheritable(descriptors[0], False)
            on_terminal(descriptors[0])
            peer.sendall(b"k")
