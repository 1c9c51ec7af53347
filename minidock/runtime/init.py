"""The small first process of a container (``--init``): it reaps orphans and passes signals on. Runs in the stub.

It is this Python, which has become the user of the container and can import nothing any more. Nobody inside can look
into it: it is not dumpable, and keeps no capability but that to send signals.
"""

from __future__ import annotations

import os

from minidock.runtime import monitor, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_NAME = "minidock-init"
_CAP_KILL = 1 << 5
_SIGCHLD, _SIGTTIN, _SIGTTOU = 17, 21, 22
# Not those that a mistake of its own would send it: ILL TRAP ABRT BUS FPE SEGV SYS, nor KILL and STOP.
_TAKEN = frozenset(range(1, 65)) - {4, 5, 6, 7, 8, 11, 31} - {9, 19}


def stay() -> None:
    """Stay as the first process and return in a child, which becomes the program and resets its signals.

    The child is a process group of its own, in the foreground of the terminal if there is one.
    """
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)  # it is not PID 1 where no PID namespace was made
    syscalls.block_signals(_TAKEN)
    child = os.fork()
    if child:
        _serve(child)
    os.setpgid(0, 0)
    if os.isatty(0):
        os.tcsetpgrp(0, os.getpid())  # allowed to one in the background because SIGTTOU is blocked


def _serve(child: int) -> NoReturn:
    syscalls.close_range(0)
    syscalls.set_process_name(_NAME)
    try:
        kept = _CAP_KILL & syscalls.permitted_capabilities()
        syscalls.capset(effective=kept, permitted=kept, inheritable=0)
    except OSError:
        pass  # then the kernel has found nothing to take away
    while True:
        number = syscalls.wait_signal(_TAKEN)
        if number == _SIGCHLD:
            _reap(child)
        elif number not in (_SIGTTIN, _SIGTTOU):
            try:
                os.kill(child, number)
            except OSError:
                continue  # it has just ended, or become somebody else


def _reap(child: int) -> None:
    """Reap everything that has ended; end with the code of ``child`` if that is among it."""
    code = -1
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if not pid:
            break
        if pid == child:
            code = monitor.exit_code(status)
    if code >= 0:
        os._exit(code)
