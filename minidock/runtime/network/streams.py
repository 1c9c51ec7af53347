"""Two connections that are one: what comes from either goes to the other, ends and errors too."""

from __future__ import annotations

import _socket
import struct

from minidock.runtime.network.loop import BROKEN, IN, OUT, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.network.loop import Handler

_CHUNK_SIZE = 1 << 18
_RESET_ON_CLOSE = struct.pack("=ii", 1, 0)
_UNIX = int(_socket.AF_UNIX)


class _Side:
    """One connection; ``pending`` is what it has not taken yet: as long as there is some, the other is not read."""

    __slots__ = ("connection", "fd", "has_ended", "is_connecting", "is_shut", "pending")

    def __init__(self, connection: _socket.socket, *, is_connecting: bool) -> None:
        self.connection = connection
        self.fd = connection.fileno()
        self.pending = b""
        self.is_connecting = is_connecting
        self.has_ended = False
        self.is_shut = False
        if connection.family != _UNIX:
            connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
            connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)


class Pair:
    """A relayed connection: ``caller`` is connected, ``called`` is about to be; ``opening`` is sent to that first."""

    def __init__(self, loop: Loop, caller: _socket.socket, called: _socket.socket, opening: bytes = b"") -> None:
        self._loop = loop
        self._sides = (_Side(caller, is_connecting=False), _Side(called, is_connecting=True))
        self._sides[1].pending = opening
        self._handlers = tuple(self._handler(side) for side in self._sides)
        self._watch()

    def _handler(self, side: _Side) -> Handler:
        other = self._sides[1] if side is self._sides[0] else self._sides[0]

        def handle(events: int) -> None:
            try:
                self._serve(side, other, events)
            except BlockingIOError:
                pass
            except OSError:
                self._break()
                return
            self._watch()

        return handle

    def _serve(self, side: _Side, other: _Side, events: int) -> None:
        if side.is_connecting:
            code = side.connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
            if code:
                raise OSError(code, "connect")
            side.is_connecting = False
        if side.pending and events & (OUT | BROKEN):
            self._send(side, side.pending)
        if not side.has_ended and not other.pending and not other.is_connecting and events & (IN | BROKEN):
            data = side.connection.recv(_CHUNK_SIZE)
            if data:
                self._send(other, data)
            else:
                side.has_ended = True
        for one, source in ((side, other), (other, side)):
            if source.has_ended and not one.pending and not one.is_shut and not one.is_connecting:
                one.is_shut = True
                one.connection.shutdown(_socket.SHUT_WR)

    def _send(self, side: _Side, data: bytes) -> None:
        try:
            sent = side.connection.send(data)
        except BlockingIOError:
            sent = 0
        side.pending = data[sent:]

    def _watch(self) -> None:
        first, second = self._sides
        if first.is_shut and second.is_shut:
            self._close()
            return
        for side, other, handler in ((first, second, self._handlers[0]), (second, first, self._handlers[1])):
            wanted = OUT if side.pending or side.is_connecting else 0
            if not side.has_ended and not side.is_connecting and not other.pending and not other.is_connecting:
                wanted |= IN
            self._loop.want(side.fd, wanted, handler)

    def _break(self) -> None:
        """End both connections so that nobody takes what has arrived for everything."""
        for side in self._sides:
            if side.connection.family != _UNIX:
                side.connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _RESET_ON_CLOSE)
        self._close()

    def _close(self) -> None:
        for side in self._sides:
            self._loop.forget(side.fd)
            side.connection.close()


def reset(connection: _socket.socket) -> None:
    """Refuse a connection that has been accepted."""
    if connection.family != _UNIX:
        connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _RESET_ON_CLOSE)
    connection.close()
