"""The last steps of every process of a container, the same for `start` and `exec`: terminal, directory, signals, exec.

Runs in the stub.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import stat
import struct
import sys

from minidock.runtime import confinement, identity, init, messages, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from minidock.runtime.orders import Process

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_TIOCSCTTY = 0x540E
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


def open_terminal(multiplexer: str, *, directory: int | None = None, uid: int) -> int:
    """Open a new terminal, hand its other end to the parent, wait until that has it, return the process's end."""
    master = os.open(multiplexer, os.O_RDWR | os.O_NOCTTY, dir_fd=directory)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    terminal = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
    hand_over(master)
    os.close(master)
    if uid:
        try:
            os.fchown(terminal, uid, -1)
        except OSError:
            pass  # with a single id the owner is the right one already
    return terminal


def hand_over(master: int) -> None:
    """Pass the other end of a terminal to the parent; returns when that has it."""
    peer = _socket.socket(fileno=messages.TERMINAL_FD)
    peer.sendmsg([b"t"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", master))])
    if not peer.recv(1):
        raise messages.Failure("problem", "the terminal was not taken")
    peer.detach()


def forbid_imports() -> None:
    """Make every further import fail: it would load code of the image into a privileged process."""
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()


def attach(terminal: int | None) -> None:
    """Start a session of its own, with keys of its own, and the terminal as standard streams if there is one."""
    os.setsid()
    try:
        syscalls.join_new_session_keyring()
    except OSError:
        pass  # a kernel without keyrings, or an outer container that forbids them
    if terminal is None:
        return
    fcntl.ioctl(terminal, _TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(terminal, fd)


def execute(process: Process, *, self_fd: int, is_single_id: bool, alive: int) -> NoReturn:
    """Become the program; ``alive`` is a socket whose end of file tells that the monitor is gone.

    Raises: messages.Failure with docker's reasons and codes.
    """
    forbid_imports()
    _own_streams(process)
    # To change all of them takes twenty times as long as to look; the first process of --init ignores nearly all.
    ignored = syscalls.ALL_SIGNALS if process["has_init"] else syscalls.ignored_signals(self_fd)
    keep = [messages.STATUS_FD, self_fd, alive]
    _close_all_but(keep)
    _enter_directory(process["cwd"], make=process["make_cwd"])
    confinement.raise_limits(process["limits"])
    identity.assume(process, self_fd=self_fd, is_single_id=is_single_id, supervisor=alive)
    # Last: a change of credentials clears it.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, syscalls.SIGKILL)
    check_monitor(alive)
    for fd in keep:
        os.set_inheritable(fd, False)
    if process["has_init"]:
        init.stay()
    syscalls.reset_signals(ignored)
    os.umask(0o022)
    confinement.tighten(process["limits"])
    _exec(process)


def _own_streams(process: Process) -> None:
    """Let another user than root open /dev/stdout again when it is a pipe."""
    if process["uid"] == 0:
        return
    for fd in (0, 1, 2):
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            try:
                os.fchown(fd, process["uid"], -1)
            except OSError:
                pass  # a single id owns it already


def _close_all_but(kept: list[int]) -> None:
    first = 3
    for fd in sorted(kept):
        if first < fd:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first)


def _enter_directory(path: str, *, make: bool) -> None:
    if make:
        _make_directories(path)
    try:
        os.chdir(path)
    except OSError as error:
        raise messages.Failure("problem", f"cannot chdir to {path!r}: {error.strerror}") from None
    # A directory that leads out of the root shows as "(unreachable)/...".
    if not os.getcwd().startswith("/"):
        raise messages.Failure("problem", f"the working directory {path!r} is outside of the container")


def _make_directories(path: str) -> None:
    done = ""
    for name in path.split("/"):
        if not name:
            continue
        done += "/" + name
        try:
            os.mkdir(done, 0o755)
        except FileExistsError:
            continue
        except OSError as error:
            raise messages.Failure("problem", f"mkdir {done}: {(error.strerror or '').lower()}") from None


def check_monitor(pipe: int) -> None:
    """End this process if its monitor, which holds the other end of ``pipe``, is gone already."""
    os.set_blocking(pipe, False)
    try:
        os.read(pipe, 1)
    except BlockingIOError:
        return
    os._exit(125)


def _environment(process: Process) -> dict[bytes, bytes]:
    variables = [entry.encode("utf-8", "surrogateescape").partition(b"=") for entry in process["env"]]
    return {name: value for name, equals, value in variables if equals and name}


def candidates(process: Process) -> list[str]:
    """Return the paths that the program may have, in the order in which they are tried."""
    name = process["args"][0]
    if "/" in name:
        return [name]
    path = _environment(process).get(b"PATH", DEFAULT_PATH.encode()).decode("utf-8", "surrogateescape")
    return [f"{directory or '.'}/{name}" for directory in path.split(":")] if name else []


def _exec(process: Process) -> NoReturn:
    environment = _environment(process)
    denied: OSError | None = None
    for candidate in candidates(process):
        try:
            os.execve(candidate, process["args"], environment)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.isfile(candidate):
                raise messages.Failure("not-found", "no such file or directory (its interpreter is missing)") from None
        except OSError as error:
            denied = error
            if error.errno != errno.EACCES:
                break
    if denied is None:
        raise messages.Failure("not-found", "")
    reason = (denied.strerror or "").lower()
    if os.path.isdir(candidate):
        reason = "is a directory: permission denied"
    raise messages.Failure("not-executable", reason)
