"""The process that stays outside of a container process: it starts it, waits, and ends it when its parent is gone.

Runs in the stub.
"""

from __future__ import annotations

import _socket
import os
import select

from minidock.runtime import messages, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from minidock.runtime.ownership import Supervisor

LAUNCH_FAILED = 125


def fork(run: Callable[[int], NoReturn], *, is_silent: bool = False) -> int:
    """Fork, tell the parent the PID of the child and return it; see `fork_connected`."""
    return fork_connected(run, is_silent=is_silent)[0]


def fork_connected(run: Callable[[int], NoReturn], *, is_silent: bool = False) -> tuple[int, int]:
    """Fork, tell the parent the PID of the child, and return it with this end of a socket; the child runs ``run``.

    ``run`` receives the other end of the socket, which this process holds open as long as it lives. If ``is_silent`` it
    is for the child to tell which process was started.
    """
    ends = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    alive, held = (end.detach() for end in ends)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(held)
            os.close(messages.ORDERS_FD)
            run(alive)
        except BaseException as error:
            report(error)
        os._exit(LAUNCH_FAILED)
    os.close(alive)
    if not is_silent:
        messages.send(messages.STATUS_FD, ("started", pid, start_ticks(pid)))
    let_go()
    return pid, held


def let_go() -> None:
    """Close the streams of the process: whoever reads from them must see the end when it closes its own."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2, messages.STATUS_FD, messages.TERMINAL_FD):
        os.dup2(null, fd)
    os.close(null)


def watch(
    pid: int,
    *,
    container: int | None = None,
    guardian: int | None = None,
    before_kill: Callable[[], None] | None = None,
    supervisor: Supervisor | None = None,
) -> int:
    """Wait for a child and return its exit code; kill it when the parent or one of the pidfds is gone.

    Meanwhile ``supervisor`` answers what the child's filter asks.
    """
    child = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(child, select.POLLIN)
    poll.register(messages.ORDERS_FD, 0)  # a hang-up is always reported
    for other in (container, guardian):
        if other is not None:
            poll.register(other, select.POLLIN)
    ready = _wait(poll, supervisor)
    if child not in ready:
        if before_kill is not None:
            before_kill()
        os.kill(pid, syscalls.SIGKILL)
    return exit_code(os.waitpid(pid, 0)[1])


def _wait(poll: select.poll, supervisor: Supervisor | None) -> list[int]:
    """Answer questions until something else happens; return the descriptors that tell of it."""
    if supervisor is None:
        return [fd for fd, _ in poll.poll()]
    poll.register(supervisor.channel, select.POLLIN)
    while True:
        events = dict(poll.poll())
        channel, listener = events.pop(supervisor.channel, 0), events.pop(supervisor.listener, 0)
        if channel:
            poll.unregister(supervisor.channel)
            if supervisor.take():
                poll.register(supervisor.listener, select.POLLIN)
        if listener & select.POLLIN:
            supervisor.answer()
        elif listener:
            poll.unregister(supervisor.listener)  # whoever could ask has ended
        if events:
            return list(events)


def exit_code(status: int) -> int:
    """Return the exit code for a status of waitpid, 128 + n for signal n."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def report(error: BaseException) -> None:
    """Tell the parent why a launch failed."""
    if isinstance(error, messages.Failure):
        kind, text = error.kind, error.text
    elif isinstance(error, OSError):
        kind, text = "problem", f"{error.filename or 'launch'}: {(error.strerror or str(error)).lower()}"
    else:
        kind, text = "problem", f"{type(error).__name__}: {error}"
    try:
        messages.send(messages.STATUS_FD, (kind, text, getattr(error, "errno", None) or 0))
    except OSError:
        pass  # nobody listens


def start_ticks(pid: int, proc: str = "/proc") -> int:
    """Return when a process started, in clock ticks since boot. Raises FileNotFoundError, ProcessLookupError."""
    return int(stat_fields(pid, proc)[19])


def visible(pid: int) -> int:
    """Return a process whose /proc shows the namespaces and the root of process ``pid`` to this user.

    That is ``pid`` itself, or the program that it has started where it hides from everybody but the machine's root:
    `init` does. The kernel lists children in the order in which they came, adopted ones last.
    """
    try:
        os.stat(f"/proc/{pid}/ns/mnt")
    except PermissionError:
        try:
            with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
                children = file.read().split()
        except (FileNotFoundError, ProcessLookupError):
            return pid  # it has just ended, or the kernel has no such lists: then the reason is told where it is met
        return int(children[0]) if children else pid
    except (FileNotFoundError, ProcessLookupError):
        pass
    return pid


def stat_fields(pid: int, proc: str = "/proc") -> list[str]:
    """Return the fields of /proc/PID/stat from the third (the state) on."""
    with open(f"{proc}/{pid}/stat", "rb") as file:
        # The second field, the name, is in parentheses and may hold anything.
        return file.read().rpartition(b")")[2].decode().split()
