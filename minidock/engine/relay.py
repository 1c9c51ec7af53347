"""Copies the streams of a container's process until it has ended.

The monitor of a detached container loads this module for its life: it imports little.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Receives what was printed; BrokenPipeError tells that nobody wants more.
    Sink = Callable[[bytes], None]

_CHUNK_SIZE = 1 << 16


def relay(outputs: Mapping[int, Sink], ended: int | None = None, stdin: Input | None = None) -> None:
    """Pass on what comes from ``outputs`` until ``ended`` becomes readable and nothing is left; closes the outputs.

    Without ``ended`` their own ends are waited for: in namespaces all processes end with the first.
    A stream whose sink wants no more is closed, so that the process meets a broken pipe as in any pipeline.
    """
    sinks = dict(outputs)
    poll = select.poll()
    for fd in sinks:
        poll.register(fd, select.POLLIN)
    if ended is not None:
        poll.register(ended, select.POLLIN)
    has_ended = ended is None
    while not has_ended or sinks:
        if stdin is not None and not has_ended:
            stdin.register(poll)
        ready = dict(poll.poll(0 if has_ended and ended is not None else None))
        if not ready:
            break  # something that outlived the process keeps the stream open: not waited for
        if ended is not None and ended in ready:
            has_ended = True
            poll.unregister(ended)
            if stdin is not None:
                stdin.unregister(poll)
        for fd in [fd for fd in sinks if fd in ready]:
            if not _copy(fd, sinks[fd]):
                poll.unregister(fd)
                os.close(fd)
                del sinks[fd]
        if stdin is not None and not has_ended:
            stdin.turn(ready)
    for fd in sinks:
        os.close(fd)


def _copy(fd: int, sink: Sink) -> bool:
    """Pass on what is there; False at the end."""
    try:
        data = os.read(fd, _CHUNK_SIZE)
        if data:
            sink(data)
    except BlockingIOError:
        return True
    except OSError:  # EIO: nobody has the terminal open any more; EPIPE: nobody reads what we pass on
        return False
    return bool(data)


class Input:
    """Copies ``source`` to ``target`` without ever waiting for either; closes ``target`` at the end of ``source``."""

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = target
        self._pending = b""
        self._is_open = True
        self._asked: int | None = None
        os.set_blocking(target, False)

    def register(self, poll: select.poll) -> None:
        """Ask for what can be done next."""
        self.unregister(poll)
        if self._is_open:
            self._asked = self._target if self._pending else self._source
            poll.register(self._asked, select.POLLOUT if self._pending else select.POLLIN)

    def unregister(self, poll: select.poll) -> None:
        """Ask for nothing any more."""
        if self._asked is not None:
            poll.unregister(self._asked)
            self._asked = None

    def turn(self, ready: Mapping[int, int]) -> None:
        """Do what can be done now."""
        if not self._is_open:
            return
        if self._pending and self._target in ready:
            self._write()
        elif not self._pending and self._source in ready:
            self._read()

    def _read(self) -> None:
        try:
            data = os.read(self._source, _CHUNK_SIZE)
        except OSError:
            data = b""
        self._pending = data
        if not data:
            self.close()

    def _write(self) -> None:
        try:
            self._pending = self._pending[os.write(self._target, self._pending) :]
        except BlockingIOError:
            return
        except OSError:  # the process reads no more
            self.close()

    def close(self) -> None:
        """Stop, and let the process see the end of its input."""
        self._is_open = False
        if self._target >= 0:
            os.close(self._target)
            self._target = -1
