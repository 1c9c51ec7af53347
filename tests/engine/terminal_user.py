"""Somebody at a terminal: starts a program on a pseudo-terminal, waits for what it shows, types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence

_PATIENCE = 20.0


class TerminalUser:
    """A program on a terminal of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int]) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.execve(command[0], list(command), dict(environment))
        self.shown = b""
        self._read_until = 0
        self.resize(*size)

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window, as the terminal emulator does."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def sees(self, text: str) -> None:
        """Wait until ``text`` appears after what has been seen before."""
        until = time.monotonic() + _PATIENCE
        while text.encode() not in self.shown[self._read_until :]:
            assert self._more(until), f"{text!r} does not appear in {self.shown!r}"
        self._read_until = self.shown.index(text.encode(), self._read_until) + len(text)

    def types(self, text: str) -> None:
        """Press the keys of ``text``."""
        os.write(self._master, text.encode())

    def ends(self) -> int:
        """Wait until the program has ended; return its exit code."""
        until = time.monotonic() + _PATIENCE
        while self._more(until):
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._master)
        return code

    def _more(self, until: float) -> bool:
        ready = select.select([self._master], [], [], max(0.0, until - time.monotonic()))[0]
        assert ready, f"nothing more comes after {self.shown!r}"
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.shown += data
        return bool(data)
