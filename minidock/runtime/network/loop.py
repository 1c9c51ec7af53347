"""Waits for many descriptors at once and calls whoever waits for them; timers too. The heart of the relay."""

from __future__ import annotations

import _socket
import operator
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int], None]

IN, OUT = select.EPOLLIN, select.EPOLLOUT
BROKEN = select.EPOLLERR | select.EPOLLHUP
_MOST_EVENTS = 256

_accept = operator.methodcaller("_accept")  # `accept` belongs to the module socket, which takes long to load


class Loop:
    """Level-triggered; a descriptor of which nothing is wanted is not watched, so that a hang-up cannot spin."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._wanted: dict[int, int] = {}
        self._new: set[int] = set()  # descriptors that were not watched when the events of this turn happened
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def want(self, fd: int, events: int, handler: Handler) -> None:
        """Call ``handler`` with the events whenever there are some; 0 for none at all."""
        before = self._wanted.get(fd, 0)
        self._handlers[fd] = handler
        if events == before:
            return
        self._wanted[fd] = events
        if not before:
            self._new.add(fd)
            self._poll.register(fd, events)
        elif not events:
            self._poll.unregister(fd)
        else:
            self._poll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor; call it before that is closed."""
        if self._wanted.pop(fd, 0):
            self._poll.unregister(fd)
        self._handlers.pop(fd, None)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call ``call`` once, in so many seconds."""
        self._timers.append((time.monotonic() + seconds, call))

    def turn(self, timeout: float = -1) -> bool:
        """Wait for events and serve them; False if nothing happened within ``timeout`` seconds (negative: ever)."""
        if self._timers:
            soonest = max(0.0, min(when for when, _ in self._timers) - time.monotonic())
            timeout = soonest if timeout < 0 else min(timeout, soonest)
        self._new.clear()
        events = self._poll.poll(timeout, _MOST_EVENTS)
        for fd, happened in events:
            handler = self._handlers.get(fd)
            # A number may have been closed and given to another connection meanwhile: its events come in the next turn.
            if handler is not None and fd not in self._new and self._wanted.get(fd):
                handler(happened)
        now = time.monotonic()
        due = [call for when, call in self._timers if when <= now]
        if due:
            self._timers = [timer for timer in self._timers if timer[0] > now]
            for call in due:
                call()
        return bool(events or due)


def accepted(listener: _socket.socket) -> _socket.socket:
    """Return the next connection of a listener, not blocking. Raises: OSError, BlockingIOError if there is none."""
    connection = _socket.socket(fileno=_accept(listener)[0])
    connection.setblocking(False)
    return connection


def new_socket(family: int, kind: int) -> _socket.socket:
    """Return a socket that does not block."""
    return _socket.socket(family, kind | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
