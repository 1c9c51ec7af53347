"""Being attached to a container that a monitor watches over: terminal, input, output, detach keys, exit code."""

from __future__ import annotations

import os
import select
import signal as signals
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from minidock.core.dataclass import dataclass
from minidock.core.detach_keys import DetachKeys
from minidock.engine import attach_socket
from minidock.engine.attend import Streams
from minidock.runtime import terminal

_LOST = 137  # a monitor that was killed has taken the container along


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a caller wants to be attached; ``detach_keys`` are the bytes that end it and leave the container alone."""

    streams: Streams
    detach_keys: bytes = b""
    proxies_signals: bool = True

    def size(self) -> tuple[int, int] | None:
        """Return the rows and columns of the caller's terminal, None if it has none."""
        for fd in (self.streams.stdin, self.streams.stdout):
            if fd is not None and os.isatty(fd):
                size = os.get_terminal_size(fd)
                return size.lines, size.columns
        return None


class Client:
    """One end of a connection to a monitor."""

    def __init__(self, connection: int, attachment: Attachment, *, has_terminal: bool) -> None:
        self._connection = connection
        self._streams = attachment.streams
        self._has_terminal = has_terminal
        self._keys = DetachKeys(attachment.detach_keys) if has_terminal else None
        self._pending: list[bytes] = []
        self._reads = self._streams.stdin is not None
        os.set_blocking(connection, False)

    def follow(self, *, redraws: bool = False) -> int | None:
        """Be between the caller and the container until that ends; return its exit code, or None once detached.

        ``redraws`` makes the container's program draw its screen again by changing the size for a moment.
        """
        stdin = self._streams.stdin
        with ExitStack() as stack:
            if stdin is not None:
                self._pending.append(attach_socket.HELLO + b"i")
            if self._has_terminal and stdin is not None and os.isatty(stdin):
                stack.enter_context(terminal.raw_mode(stdin))
                stack.enter_context(self._following_size(stdin))
                if redraws:
                    self._tell_size(stdin, 1)
                self._tell_size(stdin)
            while True:
                poll = select.poll()
                poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._pending else 0))
                if self._reads and stdin is not None and not self._pending:
                    poll.register(stdin, select.POLLIN)
                ready = dict(poll.poll())
                if stdin in ready and not self._type(stdin):
                    return None
                if self._pending:
                    self._send()
                if ready.get(self._connection, 0) & ~select.POLLOUT:
                    code = self._take()
                    if code is not None:
                        return code

    def close(self) -> None:
        """Leave; the container goes on."""
        os.close(self._connection)

    def _type(self, stdin: int | None) -> bool:
        """Pass on what was typed; False if the keys to detach were among it."""
        try:
            typed = os.read(stdin or 0, attach_socket.CHUNK_SIZE)
        except OSError:
            typed = b""
        if not typed:
            self._reads = False
            self._pending.append(attach_socket.INPUT_END)
            return True
        is_detached = False
        if self._keys is not None:
            typed, is_detached = self._keys.feed(typed)
        if typed:
            self._pending.append(attach_socket.TYPED + typed)
        if is_detached:
            self._send()
        return not is_detached

    def _send(self) -> None:
        try:
            while self._pending:
                os.write(self._connection, self._pending[0])
                del self._pending[0]
        except BlockingIOError:
            return
        except OSError:  # the end: what is still to be read tells how it came
            self._pending = []
            self._reads = False

    def _take(self) -> int | None:
        """Show what the monitor says; return the exit code if it is that."""
        try:
            message = os.read(self._connection, attach_socket.CHUNK_SIZE + 1)
        except BlockingIOError:
            return None
        except ConnectionResetError:  # told once: it did not read all that was typed; what it said is still to come
            return None
        kind, data = message[:1], memoryview(message)[1:]
        if not kind:
            return _LOST
        if kind == attach_socket.EXIT:
            return int(bytes(data))
        target = self._streams.stdout if kind == attach_socket.OUT else self._streams.stderr
        while data and target is not None:
            data = data[os.write(target, data) :]
        return None

    def _tell_size(self, stdin: int, more: int = 0) -> None:
        size = os.get_terminal_size(stdin)
        self._pending.append(attach_socket.SIZE + b"%d %d" % (size.lines + more, size.columns + more))

    @contextmanager
    def _following_size(self, stdin: int) -> Iterator[None]:
        def resized(_number: int, _frame: FrameType | None) -> None:
            self._tell_size(stdin)
            self._send()

        before = signals.signal(signals.SIGWINCH, resized)
        try:
            yield
        finally:
            signals.signal(signals.SIGWINCH, before)
