"""Calls an OCI runtime in the bundle that is the working directory, and tells the parent what it has started.

Runs in the stub, as PID 1 of the namespace that the container's processes are in too or as a process joined to it.
"""

from __future__ import annotations

import _socket
import os
import select
import struct
import time

from minidock.runtime import execute, messages, monitor, syscalls
from minidock.runtime.rootfs import through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.orders import Oci

STATE = "state"  # of the runtime, a directory in the bundle
_LOG, _PID, _CONSOLE = "log.json", "pid", "console"
_LOG_SIZE = 1 << 16
_NAME = "box"  # of the container, in a state directory of its own
_DESCRIPTORS_SIZE = 64
_EXECUTION_TIMEOUT = 1.0  # seconds, for a container whose program is the runtime itself
_POLL_INTERVAL = 0.0005  # seconds


def create(oci: Oci, words: list[str], prefix: str = "") -> int:
    """Call the runtime for a new process; return its PID in this PID namespace."""
    listener = None
    if oci["has_terminal"]:
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        os.fchmod(listener.fileno(), 0o600)  # which the file gets, whatever the umask
        listener.bind(prefix + _CONSOLE)
        listener.listen(1)
        words = [*words, "--console-socket", prefix + _CONSOLE]
    number = _spawn(oci, [*words, "--pid-file", prefix + _PID, _NAME], prefix)
    if listener is not None:
        _pass_terminal(listener, number)
    _check(number, prefix)
    with open(prefix + _PID) as file:
        return int(file.read())


def _pass_terminal(listener: _socket.socket, runtime: int) -> None:
    """Hand the terminal on that the runtime sends, unless it ends without one."""
    watched = os.pidfd_open(runtime)
    poll = select.poll()
    for fd in (watched, listener.fileno()):
        poll.register(fd, select.POLLIN)
    ready = [fd for fd, _ in poll.poll()]
    os.close(watched)
    if listener.fileno() not in ready:
        return
    peer = _socket.socket(fileno=syscalls.accept(listener.fileno()))
    _, ancillary, _, _ = peer.recvmsg(1024, _socket.CMSG_SPACE(_DESCRIPTORS_SIZE))
    for _level, _kind, data in ancillary:
        (master,) = struct.unpack("i", data[:4])
        execute.hand_over(master)
        os.close(master)
    peer.close()
    listener.close()


def _spawn(oci: Oci, words: list[str], prefix: str = "") -> int:
    bundle = os.getcwd()
    command = [
        oci["program"],
        *oci["options"],
        "--root",
        f"{bundle}/{STATE}",
        "--log",
        prefix + _LOG,
        "--log-format",
        "json",
        *words,
    ]
    environment = {"PATH": execute.DEFAULT_PATH, "XDG_RUNTIME_DIR": bundle, "HOME": "/"}
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.reset_signals()  # whatever it ignores, the container would ignore; posix_spawn ignores two of them
            os.execve(oci["program"], command, environment)
        except BaseException:
            os._exit(monitor.LAUNCH_FAILED)
    return pid


def start(oci: Oci, pid: int) -> None:
    """Have the runtime start the container, and wait until the program of its first process runs.

    Until then the process is the runtime's own, and a signal that the program may ignore would end it.
    """
    waiting = _program(pid)
    _call(oci, ["start", _NAME])
    deadline = time.monotonic() + _EXECUTION_TIMEOUT
    while waiting is not None and _program(pid) == waiting and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)


def _program(pid: int) -> tuple[int, int] | None:
    """Return what tells the file that a process executes from others, or None of one that has ended."""
    try:
        found = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _call(oci: Oci, words: list[str]) -> None:
    _check(_spawn(oci, words), "")


def _check(number: int, prefix: str) -> None:
    """Wait for the runtime; raise messages.Failure with what it has logged if it failed."""
    if monitor.exit_code(os.waitpid(number, 0)[1]) == 0:
        return
    try:
        with open(prefix + _LOG, "rb") as file:
            log = file.read(_LOG_SIZE)
    except FileNotFoundError:
        log = b""
    raise messages.Failure("oci", log.decode("utf-8", "replace"))


def announce(host: int, pid: int) -> None:
    """Tell the parent the PID of the container as the host knows it; ``host`` is the host's /proc."""
    own = os.readlink("self", dir_fd=host)
    with open(f"{through(host)}/{own}/task/{own}/children", "rb") as file:
        children = [int(text) for text in file.read().split()]
    for child in children:
        if _inner_pid(host, child) == pid:
            ticks = monitor.start_ticks(child, through(host))
            messages.send(messages.STATUS_FD, ("started", child, ticks))
            return
    raise messages.Failure("problem", "the container ended before it was started")


def _inner_pid(host: int, pid: int) -> int:
    """Return the PID that a child of this process has in the PID namespace of this process."""
    level = len(_namespace_pids(host, os.readlink("self", dir_fd=host)))
    return _namespace_pids(host, str(pid))[level - 1]


def _namespace_pids(host: int, pid: str) -> list[int]:
    with open(f"{through(host)}/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"NSpid:"):
                return [int(text) for text in line.split()[1:]]
    return []


def detach_streams() -> None:
    """Let go of the streams of the process: whoever reads must see their end when the process closes its own."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2, messages.TERMINAL_FD):
        os.dup2(null, fd)


def reap(pid: int) -> int:
    """Reap whatever ends until it is ``pid``; return its exit code."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return monitor.exit_code(status)


def write(path: str, content: bytes) -> None:
    """Write a new file for the runtime."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, content)
    os.close(fd)
