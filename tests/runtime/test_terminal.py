from __future__ import annotations

import fcntl
import os
import struct
import termios

from minidock.runtime import terminal


def test_raw_mode_is_left_again() -> None:
    master, other = os.openpty()
    before = termios.tcgetattr(other)
    with terminal.raw_mode(other):
        assert not termios.tcgetattr(other)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert termios.tcgetattr(other) == before
    os.close(master)
    os.close(other)


def test_the_window_size_is_passed_on() -> None:
    (ours, ours_end), (theirs, theirs_end) = os.openpty(), os.openpty()
    fcntl.ioctl(ours_end, termios.TIOCSWINSZ, struct.pack("4H", 33, 101, 0, 0))
    with terminal.following_size(ours_end, theirs):
        assert os.get_terminal_size(theirs_end) == (101, 33)
    for fd in (ours, ours_end, theirs, theirs_end):
        os.close(fd)
