"""Published ports: sockets on the host, bound before the container starts."""

from __future__ import annotations

import _socket
import errno

from minidock.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.orders import PortOrders

_BACKLOG = 1024
_TRIES = 16
_BUFFER_SIZE = 1 << 21


class Bound:
    """One socket of a published port; ``said`` is (container port, protocol, host address, host port)."""

    def __init__(self, socket: _socket.socket, port: PortOrders, address: str, number: int) -> None:
        self.socket = socket
        self.container_port = port[0]
        self.said = (port[0], port[1], address, number)


def bind_all(ports: list[PortOrders]) -> list[Bound]:
    """Return a socket for every published port and family. Raises: messages.Failure in docker's words."""
    bound: list[Bound] = []
    for port in ports:
        _, protocol, address, first, last = port
        for number in range(first, last + 1):
            try:
                bound += _bind(port, [address] if address else ["0.0.0.0", "::"], number)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or number == last:
                    text = f"{_shown(address or '0.0.0.0')}:{number}"
                    raise _failure(error, f"{text}/{protocol}" if protocol != "tcp" else text, number) from None
    return bound


def _bind(port: PortOrders, addresses: list[str], number: int) -> list[Bound]:
    """Bind one port number on every address; with 0 any that is free on all of them."""
    for left in reversed(range(_TRIES)):
        bound: list[Bound] = []
        try:
            for address in addresses:
                socket = _listen(port[1], address, bound[0].said[3] if bound else number)
                if socket is not None:
                    bound.append(Bound(socket, port, address, socket.getsockname()[1]))
            return bound
        except OSError as error:
            for one in bound:
                one.socket.close()
            if number or error.errno != errno.EADDRINUSE or not left:
                raise
    return []


def _listen(protocol: str, address: str, number: int) -> _socket.socket | None:
    """Return a bound socket, or None where the host has no IPv6 and any address was wanted."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    kind = _socket.SOCK_STREAM if protocol == "tcp" else _socket.SOCK_DGRAM
    try:
        socket = _socket.socket(family, kind | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    except OSError as error:
        if address == "::" and error.errno == errno.EAFNOSUPPORT:
            return None
        raise
    try:
        if family == _socket.AF_INET6:
            socket.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        if kind == _socket.SOCK_STREAM:
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        else:
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, _BUFFER_SIZE)
        socket.bind((address, number))
        if kind == _socket.SOCK_STREAM:
            socket.listen(_BACKLOG)
    except OSError as error:
        socket.close()
        if address == "::" and error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return socket


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _failure(error: OSError, text: str, number: int) -> messages.Failure:
    reason = {
        errno.EADDRINUSE: "address already in use",
        errno.EADDRNOTAVAIL: "cannot assign requested address",
        errno.EACCES: "permission denied",
    }.get(error.errno or 0, (error.strerror or "").lower())
    if error.errno == errno.EACCES:
        reason += (
            f" (ports below net.ipv4.ip_unprivileged_port_start are for root: publish another one, "
            f"or `sysctl net.ipv4.ip_unprivileged_port_start={number}`)"
        )
    return messages.Failure("problem", f"failed to bind host port {text}: {reason}")
