"""Ends what a process leaves behind where no PID namespace does it. Runs in the stub.

A process below two processes that watch over it: orphans come to the nearest ancestor that is a subreaper, the inner
of the two, and if that is killed the outer; if the outer is killed the inner notices. One of them is always there to
end what is left.
"""

from __future__ import annotations

import os

from minidock.runtime import monitor, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def guarded(work: Callable[[int], int], tidy: Callable[[], None], thaw: Callable[[], None]) -> int:
    """Return the exit code of ``work``, which starts processes and is told whom (a pidfd) they must not outlive.

    What is left in the end is killed after ``thaw``, for what is paused cannot die; then follows ``tidy``.
    """
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    outer = os.pidfd_open(os.getpid())
    inner = os.fork()
    if inner == 0:
        code = monitor.LAUNCH_FAILED
        try:
            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
            code = work(outer)
        except BaseException as error:
            monitor.report(error)
        finally:
            thaw()
            end_descendants()
            tidy()
            os._exit(code)
    monitor.let_go()
    status = os.waitpid(inner, 0)[1]
    thaw()
    end_descendants()
    if os.WIFSIGNALED(status):
        tidy()
    return monitor.exit_code(status)


def children() -> list[int]:
    """Return the PIDs of this process's children."""
    with open("/proc/thread-self/children", "rb") as file:
        return [int(pid) for pid in file.read().split()]


def end_descendants(helpers: list[int] | None = None) -> None:
    """Kill and reap every process that is left, but ``helpers``; orphans come to this process, their subreaper."""
    while True:
        found = [pid for pid in children() if pid not in (helpers or ())]
        for pid in found:
            os.kill(pid, syscalls.SIGKILL)
        for pid in found:
            os.waitpid(pid, 0)
        if not found:
            return
