"""When a container's health is looked at: a program is started for each check, and takes down what it found.

The monitor of a container loads this module for its life: it imports little.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STILL_STARTING = 3  # the exit code of the program while a failure does not count yet
_SIGKILL = 9


class Probing:
    """Runs ``command`` again and again: ``pauses`` are the seconds before the first, in the start period, and later.

    Without pauses nothing is ever run.
    """

    def __init__(self, pauses: Sequence[float], command: Sequence[str]) -> None:
        self._pauses = pauses
        self._command = list(command)
        self._due = time.monotonic() + pauses[0] if pauses else None
        self._pid = 0
        self._fd = -1

    def descriptors(self) -> Iterable[int]:
        """Return what `turn` wants to know about when it is ready."""
        return [self._fd] if self._pid else []

    def timeout(self) -> float | None:
        """Return the seconds after which `turn` has to be called in any case."""
        return None if self._due is None or self._pid else max(0, self._due - time.monotonic())

    def turn(self, ready: Iterable[int]) -> None:
        """Do what is due."""
        if self._pid:
            if self._fd in ready:
                is_starting = self._reap() == STILL_STARTING
                self._due = time.monotonic() + self._pauses[1 if is_starting else 2]
        elif self._due is not None and time.monotonic() >= self._due:
            self._pid = os.posix_spawn(sys.executable, self._command, {})
            self._fd = os.pidfd_open(self._pid)

    def end(self) -> None:
        """End a check that is under way; nothing is started any more."""
        self._due = None
        if self._pid:
            os.kill(self._pid, _SIGKILL)
            self._reap()

    def _reap(self) -> int:
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        os.close(self._fd)
        self._pid, self._fd = 0, -1
        return code
