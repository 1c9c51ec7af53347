"""What a client needs to be the terminal of a container's process: raw mode, window size, relay, detach keys."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from minidock.errors import FlagError

DETACH_KEYS = "ctrl-p,ctrl-q"
_CHUNK_SIZE = 65536
_SIZE_STRUCT = b"\0" * 8  # rows, columns, two that nobody uses: four shorts


def parse_detach_keys(text: str) -> bytes:
    """Return the bytes that the keys send; none for an empty text, which switches detaching off.

    Grammar (docker's ``--detach-keys``): ``KEY[,KEY...]``; KEY is one character, or ``ctrl-`` and one of ``a``-``z``,
    ``@``, ``[``, ``\\``, ``]``, ``^``, ``_``.
    Raises: FlagError.
    """
    keys = bytearray()
    for key in text.split(",") if text else ():
        prefix, dash, letter = key.rpartition("ctrl-")
        if len(key) == 1 and key.isascii():
            keys += key.encode()
        elif dash and not prefix and len(letter) == 1 and letter in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
            keys.append(ord(letter.upper()) & 0x1F)
        else:
            raise FlagError(f"invalid detach keys ({text}): Unknown character: '{key}'")
    return bytes(keys)


class DetachKeys:
    """Recognises a sequence of keys in what is typed; what could be its beginning is held back until that is clear."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """Return what is to be passed on of ``typed``, and whether the sequence is complete."""
        passed = bytearray()
        for byte in typed:
            if self._keys and byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._seen]
            self._seen = 0
            if self._keys and byte == self._keys[0] and len(self._keys) > 1:
                self._seen = 1
            else:
                passed.append(byte)
        return bytes(passed), False


@contextmanager
def raw_mode(fd: int) -> Iterator[None]:
    """Pass every key on as it is while the body runs; nothing is done if ``fd`` is no terminal."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
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


def relay(master: int, stdin: int | None, stdout: int, *, detach_keys: bytes = b"") -> bool:
    """Copy what is typed to the terminal and what it shows to ``stdout``, until the process closes it.

    Returns True if the detach keys ended it; the process runs on then.
    """
    keys = DetachKeys(detach_keys)
    sources = [master] if stdin is None else [master, stdin]
    while True:
        for fd in select.select(sources, [], [])[0]:
            if fd == master:
                shown = _read_terminal(master)
                if not shown:
                    return False
                _write_all(stdout, shown)
                continue
            typed = os.read(fd, _CHUNK_SIZE)
            if not typed:
                sources.remove(fd)
                continue
            passed, is_detached = keys.feed(typed)
            _write_all(master, passed)
            if is_detached:
                return True


def _read_terminal(master: int) -> bytes:
    try:
        return os.read(master, _CHUNK_SIZE)
    except OSError:
        return b""  # EIO: nobody has the other end open any more


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
