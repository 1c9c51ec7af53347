"""What a caller needs to be the terminal of a container's process: raw mode, window size."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIZE_STRUCT = b"\0" * 8  # rows, columns, two that nobody uses: four shorts


@contextmanager
def raw_mode(fd: int) -> Iterator[None]:
    """Pass every key on as it is while the body runs; nothing is done if ``fd`` is no terminal."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)  # keeps what was typed before
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def set_size(master: int, rows: int, columns: int) -> None:
    """Give the terminal behind ``master`` a window size."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def copy_size(source: int, master: int) -> None:
    """Give the terminal behind ``master`` the window size of ``source``, if that is a terminal."""
    if os.isatty(source):
        fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(source, termios.TIOCGWINSZ, _SIZE_STRUCT))


@contextmanager
def following_size(source: int, master: int) -> Iterator[None]:
    """Keep the sizes equal while the body runs. Only in the main thread: it sets a signal handler."""

    def resized(_number: int, _frame: FrameType | None) -> None:
        copy_size(source, master)

    copy_size(source, master)
    before = signal.signal(signal.SIGWINCH, resized)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
