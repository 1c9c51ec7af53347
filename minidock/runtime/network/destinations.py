"""Where connections and datagrams that have come to the relay were to go, and whether containers may go there."""

from __future__ import annotations

import _socket
import errno
import struct

from minidock.runtime import messages
from minidock.runtime.network.gateway import packed
from minidock.runtime.network.loop import new_socket

_ORIGINAL_DESTINATION = 80
_IP, _IPV6 = 0, 41


def reason(error: BaseException) -> str:
    """Return what is told of a network that cannot be made."""
    if isinstance(error, messages.Failure):
        return error.text
    if isinstance(error, OSError):
        return (
            f"cannot make a network for the container: {error.filename or 'relay'}: {(error.strerror or '').lower()} "
            "(--network host needs nothing of the kernel)"
        )
    return f"cannot make a network for the container: {type(error).__name__}: {error}"


def family_and(address: bytes) -> tuple[int, bytes]:
    """Return the family of a packed address, and the address."""
    return (_socket.AF_INET if len(address) == 4 else _socket.AF_INET6), address


def is_special(address: bytes) -> bool:
    """Whether an address is a loopback one, unspecified, or one of many receivers."""
    if len(address) == 16:
        return address[:12] == bytes(12) or address[0] == 0xFF
    return address[0] in (0, 127) or address[0] >= 0xE0


def is_of_host(address: bytes) -> bool:
    """Whether an address is one of the host's own: services there may trust whoever comes from the host."""
    family, text = family_and(address)[0], _socket.inet_ntop(*family_and(address))
    with_socket = new_socket(family, _socket.SOCK_DGRAM)
    try:
        with_socket.connect((text, 9))
        return packed(with_socket.getsockname()[0].partition("%")[0]) == address
    except OSError:
        return False  # there is no way there anyhow
    finally:
        with_socket.close()


def connected(socket: _socket.socket, address: str, port: int) -> _socket.socket:
    """Return ``socket``, connected; it is closed if it cannot be. Raises: OSError."""
    try:
        socket.connect((address, port))
    except OSError:
        socket.close()
        raise
    return socket


def destination(caller: _socket.socket) -> tuple[bytes, int]:
    """Return where a redirected connection was to go."""
    if caller.family == _socket.AF_INET:
        data = caller.getsockopt(_IP, _ORIGINAL_DESTINATION, 16)
        return data[4:8], struct.unpack_from(">H", data, 2)[0]
    data = caller.getsockopt(_IPV6, _ORIGINAL_DESTINATION, 28)
    return data[8:24], struct.unpack_from(">H", data, 2)[0]


def diverted(control: list[tuple[int, int, bytes]]) -> tuple[bytes, int]:
    """Return where a diverted datagram was to go."""
    for level, _, data in control:
        at, size = (4, 4) if level == _IP else (8, 16)
        return data[at : at + size], struct.unpack_from(">H", data, 2)[0]
    raise OSError(errno.ENOMSG, "a datagram without destination")
