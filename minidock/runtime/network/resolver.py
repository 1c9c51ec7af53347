"""Passes questions about names on to the host's name servers, one after the other until one answers."""

from __future__ import annotations

import _socket

from minidock.runtime.network import names
from minidock.runtime.network.datagrams import LARGEST
from minidock.runtime.network.loop import IN, Loop, new_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 53
_PATIENCE = 2.0  # seconds until the next name server is asked


class Resolver:
    """The name server of a container; what ``servers`` returns is asked for what ``look_up`` does not know."""

    def __init__(
        self, loop: Loop, servers: Callable[[], list[str]], look_up: Callable[[str], list[bytes] | None]
    ) -> None:
        self._loop = loop
        self._servers = servers
        self._look_up = look_up

    def serve(self, receiver: _socket.socket) -> None:
        """Answer the next query of a socket. Raises: OSError, BlockingIOError if there is none."""
        query, caller = receiver.recvfrom(LARGEST)

        def reply(data: bytes | None) -> None:
            if data is None:
                return
            try:
                receiver.sendto(data, caller)
            except OSError:
                return  # lost, as datagrams may be; who asked will ask again

        answer = names.answer(query, self._look_up)
        if answer is not None:
            reply(answer)
        else:
            self._forward(query, reply, 0)

    def _forward(self, query: bytes, reply: Callable[[bytes | None], None], number: int) -> None:
        """Ask a name server, and the next one if that cannot be reached or does not answer."""
        servers = self._servers()
        if number >= len(servers):
            reply(names.failure(query))
            return
        address = servers[number]
        try:
            asked = new_socket(_socket.AF_INET6 if ":" in address else _socket.AF_INET, _socket.SOCK_DGRAM)
        except OSError:
            reply(names.failure(query))  # out of descriptors
            return
        is_done = False

        def finish(*, goes_on: bool) -> None:
            nonlocal is_done
            if is_done:
                return
            is_done = True
            self._loop.forget(asked.fileno())
            asked.close()
            if goes_on:
                self._forward(query, reply, number + 1)

        def read(events: int) -> None:
            try:
                data = asked.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                finish(goes_on=True)
                return
            if data[:2] == query[:2]:
                reply(data)
                finish(goes_on=False)

        try:
            asked.connect((address, PORT))
            asked.send(query)
        except OSError:
            finish(goes_on=True)
            return
        self._loop.want(asked.fileno(), IN, read)
        self._loop.after(_PATIENCE, lambda: finish(goes_on=True))
