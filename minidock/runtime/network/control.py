"""How the networks of a container that runs are changed: its relay is asked, over a Unix socket in its directory.

One message each way (SOCK_SEQPACKET, marshalled): ``(verb, endpoint)`` with CONNECT or DISCONNECT, and what is wrong,
empty if nothing is. The directory of a container can be entered by the store's owner only.
"""

from __future__ import annotations

import _socket
import marshal
import os

from minidock.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.orders import EndpointOrders

CONNECT, DISCONNECT = "connect", "disconnect"
_NAME = "network"
_LONGEST = 1 << 16
_BACKLOG = 8


class NotListening(Exception):
    """No relay serves the container of a directory."""


def listen(directory: str) -> _socket.socket:
    """Return what listens in a container's directory, in place of what a killed relay may have left."""
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            os.unlink(_NAME, dir_fd=parent)
        except FileNotFoundError:
            pass
        os.fchmod(listener.fileno(), 0o600)  # which the file gets, whatever the umask
        listener.bind(f"/proc/self/fd/{parent}/{_NAME}")
        listener.listen(_BACKLOG)
    finally:
        os.close(parent)
    return listener


def ask(directory: str, verb: str, endpoint: EndpointOrders) -> None:
    """Have the relay of a container change its networks. Raises: NotListening; messages.Failure if it cannot."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{parent}/{_NAME}")
        connection.send(marshal.dumps((verb, dict(endpoint))))
        said = connection.recv(_LONGEST)
    except (FileNotFoundError, ConnectionError) as error:
        raise NotListening(directory) from error
    finally:
        os.close(parent)
        connection.close()
    if not said:
        raise NotListening(directory)
    problem = marshal.loads(said)
    if problem:
        raise messages.Failure("problem", problem)


def request(said: bytes) -> tuple[str, EndpointOrders]:
    """Return the verb and the endpoint of a message."""
    verb, endpoint = marshal.loads(said)
    return verb, endpoint


def answer(connection: _socket.socket, problem: str) -> None:
    """Say what is wrong, or nothing."""
    try:
        connection.send(marshal.dumps(problem))
    except OSError:
        pass  # who asked has gone
