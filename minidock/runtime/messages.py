"""How the stub talks to its parent: numbered descriptors and small marshalled tuples. Runs on both sides.

Descriptors of the stub: 0-2 the streams of the process, 3 orders (its end of file tells that the parent is gone),
4 status (its end of file tells that the program was executed), 5 a socket for the terminal.
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ORDERS_FD, STATUS_FD, TERMINAL_FD = 3, 4, 5
FIRST_FREE_FD = 6
_HEADER_SIZE = 4


class Failure(Exception):
    """Why a launch failed: ``kind`` is ``problem``, ``not-found`` or ``not-executable``."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def send(fd: int, value: Any) -> None:
    """Write one value of marshal's types."""
    data = marshal.dumps(value)
    data = len(data).to_bytes(_HEADER_SIZE, "little") + data
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int) -> Any:
    """Read one value; raises EOFError when the other side has closed."""
    size = int.from_bytes(_read(fd, _HEADER_SIZE), "little")
    return marshal.loads(_read(fd, size))


def _read(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(fd, size - len(data))
        if not part:
            raise EOFError
        data += part
    return data
