"""Connects one container process with its log and with everybody who is attached to it.

The monitor of a container loads this module for its life: it imports little. Nothing here ever waits for one side
alone: a caller that does not read holds the container's output back once a megabyte is waiting for it, as a pipe would.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time

from minidock.engine import attach_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_TIOCSWINSZ = 0x5414
_MOST_PENDING = 1 << 20
_STREAMS = {"stdout": attach_socket.OUT, "stderr": attach_socket.ERR}


class _Client:
    """Somebody attached: a connection, and what it has not taken yet."""

    __slots__ = ("fd", "has_input", "pending")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pending: list[bytes] = []
        self.has_input = False
        os.set_blocking(fd, False)

    def send(self) -> bool:
        """Send what can be sent now; False if nobody reads any more."""
        try:
            while self.pending:
                os.write(self.fd, self.pending[0])
                del self.pending[0]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


class Hub:
    """The streams of a process; descriptors are -1 where there is none.

    ``outputs`` are its streams by descriptor (``stdout``, ``stderr``), ``stdin`` is where its input goes, ``terminal``
    the other end of its terminal. ``keep`` receives what it prints, for the log. With ``closes_input`` its input ends
    with that of the first caller, otherwise never.
    """

    def __init__(
        self,
        outputs: Mapping[int, str],
        *,
        stdin: int = -1,
        terminal: int = -1,
        listener: int = -1,
        clients: Sequence[int] = (),
        keep: Callable[[str, bytes], None] | None = None,
        closes_input: bool = False,
    ) -> None:
        self._outputs = dict(outputs)
        self._stdin = stdin
        self._terminal = terminal
        self._listener = listener
        self._keep = keep
        self._closes_input = closes_input
        self._input = b""
        self._ends_after_input = False
        self._clients = [_Client(fd) for fd in clients]
        self.is_stopped = False  # somebody does not want the container to be started again
        if stdin >= 0:
            os.set_blocking(stdin, False)

    def turn(self, others: Iterable[int] = (), timeout: float | None = None) -> set[int]:
        """Do what can be done, once anything can or ``timeout`` seconds have passed; return the ready of ``others``."""
        poll = select.poll()
        waiting = {client.fd: client for client in self._clients}
        for fd in others:
            poll.register(fd, select.POLLIN)
        if self._listener >= 0:
            poll.register(self._listener, select.POLLIN)
        if not any(len(client.pending) * attach_socket.CHUNK_SIZE > _MOST_PENDING for client in self._clients):
            for fd in self._outputs:
                poll.register(fd, select.POLLIN)
        if self._input:
            # Both directions of a terminal go through one descriptor.
            poll.register(self._stdin, select.POLLOUT | (select.POLLIN if self._stdin in self._outputs else 0))
        for client in self._clients:
            wanted = (0 if self._input else select.POLLIN) | (select.POLLOUT if client.pending else 0)
            if wanted:
                poll.register(client.fd, wanted)
        ready = dict(poll.poll(None if timeout is None else max(0, timeout) * 1000))
        for fd, events in ready.items():
            if fd == self._listener:
                self._welcome()
            elif fd in waiting:
                self._talk(waiting[fd], events)
            else:
                if fd == self._stdin and self._input and events & ~select.POLLIN:
                    self._pass_input()
                if fd in self._outputs and events & ~select.POLLOUT:
                    self._pass_output(fd)
        return {fd for fd in others if fd in ready}

    def drain(self) -> None:
        """Pass on what the process, which has ended, has left in its streams; then close them.

        What outlived it may keep them open: that is not waited for.
        """
        for fd in list(self._outputs):
            os.set_blocking(fd, False)
            while fd in self._outputs and self._pass_output(fd):
                pass
        for fd in {*self._outputs, self._stdin, self._terminal} - {-1}:
            os.close(fd)
        self._outputs = {}
        self._input = b""
        self._stdin = self._terminal = -1

    def dismiss(self, code: int, patience: float) -> None:
        """Tell all callers the exit code, wait at most ``patience`` seconds until they have taken everything."""
        self._listener = -1
        for client in self._clients:
            client.pending.append(b"%s%d" % (attach_socket.EXIT, code))
        until = time.monotonic() + patience
        while True:
            for client in list(self._clients):
                if not client.send() or not client.pending:
                    self._clients.remove(client)
                    os.close(client.fd)
            left = until - time.monotonic()
            if not self._clients or left <= 0:
                break
            self.turn(timeout=left)
        while self._clients:
            os.close(self._clients.pop().fd)

    def _welcome(self) -> None:
        try:
            self._clients.append(_Client(attach_socket.accept(self._listener)))
        except OSError:
            return  # it has gone again, or there are too many: that must not end the container

    def _talk(self, client: _Client, events: int) -> None:
        is_there = client.send()
        if is_there and events & ~select.POLLOUT:
            try:
                message = os.read(client.fd, attach_socket.CHUNK_SIZE + 1)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            is_there = bool(message)
            self._obey(client, message)
        if not is_there:
            self._clients.remove(client)
            os.close(client.fd)
            if client.has_input:
                self._end_input()

    def _obey(self, client: _Client, message: bytes) -> None:
        kind, rest = message[:1], message[1:]
        if kind == attach_socket.HELLO:
            client.has_input = rest == b"i"
        elif kind == attach_socket.TYPED and self._stdin >= 0:
            self._input += rest
            self._pass_input()
        elif kind == attach_socket.INPUT_END:
            client.has_input = False
            self._end_input()
        elif kind == attach_socket.SIZE and self._terminal >= 0:
            self._resize(rest)
        elif kind == attach_socket.STOP:
            self.is_stopped = True

    def _resize(self, text: bytes) -> None:
        try:
            rows, columns = (int(word) for word in text.split())
            fcntl.ioctl(self._terminal, _TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        except (OSError, ValueError, struct.error):
            return  # a caller's mistake, or nobody has the terminal any more: that must not end the container

    def _end_input(self) -> None:
        if not self._closes_input or self._stdin < 0 or self._terminal >= 0:
            return
        if self._input:  # it ends once everything has been taken
            self._ends_after_input = True
            return
        os.close(self._stdin)
        self._stdin = -1

    def _pass_input(self) -> None:
        try:
            self._input = self._input[os.write(self._stdin, self._input) :]
        except BlockingIOError:
            return
        except OSError:  # the process reads no more
            self._input = b""
        if not self._input and self._ends_after_input:
            os.close(self._stdin)
            self._stdin = -1

    def _pass_output(self, fd: int) -> bool:
        try:
            data = os.read(fd, attach_socket.CHUNK_SIZE)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        stream = self._outputs[fd]
        if not data:
            del self._outputs[fd]
            if fd not in (self._stdin, self._terminal):
                os.close(fd)
            return False
        if self._keep is not None:
            self._keep(stream, data)
        for client in self._clients:
            client.pending.append(_STREAMS[stream] + data)
            client.send()
        return True
