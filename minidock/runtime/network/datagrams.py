"""Datagrams in flows: all from one sender to one address share a socket, and its answers go back to the sender."""

from __future__ import annotations

import _socket
import time

from minidock.runtime.network.loop import IN, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

LARGEST = 1 << 16
_IDLE = 60.0
_SWEEP = 15.0
_MOST_FLOWS = 1024
_AT_ONCE = 32


class _Flow:
    __slots__ = ("extra", "last", "socket")

    def __init__(self, socket: _socket.socket, extra: _socket.socket | None) -> None:
        self.socket = socket
        self.extra = extra
        self.last = time.monotonic()


class Flows:
    """The flows of a relay; one that is idle for a minute is forgotten."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._flows: dict[Hashable, _Flow] = {}
        self._is_swept = False

    def send(
        self,
        key: Hashable,
        data: bytes,
        make: Callable[[], tuple[_socket.socket, Callable[[bytes], object], _socket.socket | None]],
    ) -> None:
        """Send a datagram of the flow ``key``; ``make`` returns its socket, what takes answers, what to close too."""
        flow = self._flows.get(key)
        try:
            if flow is None:
                flow = self._open(key, make)
            flow.last = time.monotonic()
            flow.socket.send(data)
        except BlockingIOError:
            return  # lost, as datagrams may be
        except OSError:
            self._close(key)  # a new one may find the other side again

    def _open(
        self,
        key: Hashable,
        make: Callable[[], tuple[_socket.socket, Callable[[bytes], object], _socket.socket | None]],
    ) -> _Flow:
        if len(self._flows) >= _MOST_FLOWS:
            self._close(min(self._flows, key=lambda one: self._flows[one].last))
        socket, answer, extra = make()
        flow = self._flows[key] = _Flow(socket, extra)
        self._loop.want(socket.fileno(), IN, lambda events: self._answer(key, flow, answer))
        if not self._is_swept:
            self._is_swept = True
            self._loop.after(_SWEEP, self._sweep)
        return flow

    def _answer(self, key: Hashable, flow: _Flow, answer: Callable[[bytes], object]) -> None:
        flow.last = time.monotonic()
        try:
            for _ in range(_AT_ONCE):
                data = flow.socket.recv(LARGEST)
                if not data and flow.socket.family == _socket.AF_UNIX:
                    self._close(key)  # the other relay has ended
                    return
                answer(data)
        except BlockingIOError:
            return
        except OSError:
            self._close(key)  # nobody listens there

    def _close(self, key: Hashable) -> None:
        flow = self._flows.pop(key, None)
        if flow is None:
            return
        self._loop.forget(flow.socket.fileno())
        flow.socket.close()
        if flow.extra is not None:
            flow.extra.close()

    def _sweep(self) -> None:
        oldest = time.monotonic() - _IDLE
        for key in [key for key, flow in self._flows.items() if flow.last < oldest]:
            self._close(key)
        self._is_swept = bool(self._flows)
        if self._is_swept:
            self._loop.after(_SWEEP, self._sweep)
