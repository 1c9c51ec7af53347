"""A way to a server on loopback on which connections break, or bytes take their time."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_RESET = struct.pack("ii", 1, 0)


@dataclass
class Proxy:
    """The first ``times`` connections over which a client sends more than ``limit`` bytes are reset; ``cut`` counts.

    ``rate`` is how many bytes a second come back over one connection, 0 as many as there are; it may change meanwhile.
    """

    target: int
    limit: int = 0
    times: int = 0
    rate: int = 0
    port: int = 0
    cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self.target))
        back = threading.Thread(target=_copy, args=(server, client, lambda: self.rate), daemon=True)
        back.start()
        sent = 0
        with suppress(OSError):
            while data := client.recv(1 << 16):
                sent += len(data)
                if sent > self.limit and self._takes_one():
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    break
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        back.join()
        server.close()
        client.close()

    def _takes_one(self) -> bool:
        with self.lock:
            is_left = self.cut < self.times
            self.cut += is_left
            return is_left


def _copy(source: socket.socket, target: socket.socket, rate: Callable[[], int]) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
            if now := rate():
                time.sleep(len(data) / now)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def cutting_proxy(target: int, *, limit: int = 0, times: int = 0, rate: int = 0) -> Iterator[Proxy]:
    """Lead to the port ``target`` until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(target, limit, times, rate, listening.getsockname()[1])

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield proxy
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()
