"""The socket through which callers are attached to a container, and what is said on it.

It is a Unix socket of whole messages (SOCK_SEQPACKET) in the container's directory, which only the store's owner can
enter. The first byte of a message tells what it is::

    caller -> monitor   h hello: "i" if input will follow    i typed bytes    c end of the input
                        r ROWS COLUMNS                        s do not start the container again
    monitor -> caller   o standard output    e standard error    x exit code; the last message

A caller that closes the socket is detached; the container goes on. The monitor of a container loads this module for its
life: it imports little.
"""

from __future__ import annotations

import _socket
import operator
import os

HELLO, TYPED, INPUT_END, SIZE, STOP = b"h", b"i", b"c", b"r", b"s"
OUT, ERR, EXIT = b"o", b"e", b"x"
CHUNK_SIZE = 1 << 16  # of a message, without its first byte

_NAME = "attach"
_BACKLOG = 64


def listen(directory: str) -> int:
    """Return a descriptor that listens in a container's directory, in place of what a killed monitor may have left."""
    discard(directory)
    ours = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchmod(ours.fileno(), 0o600)  # which the file gets, whatever the umask
        ours.bind(_address(parent))
        ours.listen(_BACKLOG)
    except OSError:
        ours.close()
        raise
    finally:
        os.close(parent)
    return ours.detach()


def connect(directory: str) -> int:
    """Return a connection to the monitor of a container. Raises: OSError if nobody listens."""
    ours = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ours.connect(_address(parent))
    except OSError:
        ours.close()
        raise
    finally:
        os.close(parent)
    return ours.detach()


def accept(listener: int) -> int:
    """Return the connection of the next caller."""
    ours = _socket.socket(fileno=listener)
    try:
        # `accept` belongs to the module socket, which takes long to load.
        return int(operator.methodcaller("_accept")(ours)[0])
    finally:
        ours.detach()


def pair() -> tuple[int, int]:
    """Return both ends of a connection that needs no name."""
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    return one.detach(), other.detach()


def discard(directory: str) -> None:
    """Remove the socket of a container that has no monitor."""
    try:
        os.unlink(f"{directory}/{_NAME}")
    except FileNotFoundError:
        return


def _address(parent: int) -> str:
    # The paths of a store are longer than the 107 bytes that an address holds.
    return f"/proc/self/fd/{parent}/{_NAME}"
