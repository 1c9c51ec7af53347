from __future__ import annotations

import fcntl
import os
import struct
import termios

import pytest

from minidock.errors import FlagError
from minidock.runtime import terminal
from minidock.runtime.terminal import DetachKeys, parse_detach_keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("a,B,ctrl-z", b"aB\x1a"),
        ("", b""),
    ],
)
def test_detach_keys_as_docker_writes_them(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-pp", "xctrl-p", "a,,b", "shift-a", "é"])
def test_unknown_detach_keys_are_refused(text: str) -> None:
    with pytest.raises(FlagError, match="invalid detach keys"):
        parse_detach_keys(text)


@pytest.mark.parametrize(
    ("typed", "passed", "is_detached"),
    [
        ([b"words"], b"words", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10x\x11"], b"\x10x\x11", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_detach_keys_are_recognised_and_everything_else_passes(
    typed: list[bytes], passed: bytes, is_detached: bool
) -> None:
    keys = DetachKeys(b"\x10\x11")
    results = [keys.feed(part) for part in typed]
    assert (b"".join(part for part, _ in results), results[-1][1]) == (passed, is_detached)


def test_without_detach_keys_every_byte_passes() -> None:
    assert DetachKeys(b"").feed(bytes(range(256))) == (bytes(range(256)), False)


def test_relay_carries_both_directions_until_the_other_end_closes() -> None:
    master, other = os.openpty()
    typed_read, typed_write = os.pipe()
    shown_read, shown_write = os.pipe()
    os.write(other, b"prompt> ")
    os.write(typed_write, b"answer\n")
    os.close(typed_write)
    pid = os.fork()
    if pid == 0:
        os.close(master)
        line = os.read(other, 100)
        os.write(other, b"got " + line)
        os._exit(0)
    os.close(other)
    assert terminal.relay(master, typed_read, shown_write) is False
    os.close(shown_write)
    with os.fdopen(shown_read, "rb") as file:
        assert file.read() == b"prompt> answer\r\ngot answer\r\n"
    os.waitpid(pid, 0)
    os.close(master)
    os.close(typed_read)


def test_relay_ends_with_the_detach_keys() -> None:
    master, other = os.openpty()
    typed_read, typed_write = os.pipe()
    os.write(typed_write, b"ab\x10\x11cd")
    null = os.open(os.devnull, os.O_WRONLY)
    assert terminal.relay(master, typed_read, null, detach_keys=b"\x10\x11") is True
    os.write(master, b"\n")
    assert os.read(other, 100) == b"ab\n"
    for fd in (master, other, typed_read, typed_write, null):
        os.close(fd)


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
