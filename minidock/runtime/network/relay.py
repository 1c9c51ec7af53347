"""Carries what a container sends and receives between its gateway (`gateway`) and the host's network.

A process of its own, forked by the stub before that leaves the host's network. It ends when the stub has: then nothing
of the network is left. The container ends when it ends.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct

from minidock.runtime.network import peers
from minidock.runtime.network.datagrams import LARGEST, Flows
from minidock.runtime.network.gateway import Gateway, addresses, make_transparent, network_of, packed
from minidock.runtime.network.loop import IN, Loop, accepted, new_socket
from minidock.runtime.network.resolver import PORT, Resolver
from minidock.runtime.network.streams import Pair, reset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from minidock.runtime.launch import NetworkOrders
    from minidock.runtime.network.published import Bound

_ORIGINAL_DESTINATION = 80
_IP, _IPV6 = 0, 41
_PAUSE = 0.1  # seconds without accepting when there are no descriptors
_AT_ONCE = 64
_MAPPED = bytes(10) + b"\xff\xff"  # IPv4 addresses written as IPv6 ones


class Refused(Exception):
    """Nobody in the container may reach this address."""


class Relay:
    """Everything that is served for one container."""

    def __init__(self, loop: Loop, orders: NetworkOrders, gateway: Gateway, bound: list[Bound]) -> None:
        self._loop = loop
        self._orders = orders
        self._gateway = gateway
        self._flows = Flows(loop)
        self._is_internal = all(endpoint["is_internal"] for endpoint in orders["endpoints"])
        self._servers = [] if self._is_internal else orders["resolvers"]
        self._subnets = [(address, prefix) for one in orders["endpoints"] for address, prefix, _ in addresses(one)]
        self._inside = _socket.inet_ntop(*_family_and(self._subnets[0][0]))
        self._memberships = [
            peers.Membership(one["directory"], orders["id"], one["names"], [item[0] for item in addresses(one)])
            for one in orders["endpoints"]
        ]
        self._listeners: list[_socket.socket] = []
        self._serve(bound)

    def _serve(self, bound: list[Bound]) -> None:
        for listener in self._gateway.streams:
            self._accept(listener, self._go_out)
        for receiver in self._gateway.datagrams:
            self._receive(receiver, self._send_out)
        resolver = Resolver(self._loop, self._servers, self._look_up)
        for receiver, listener in self._gateway.name_servers:
            self._receive(receiver, resolver.serve)
            self._accept(listener, self._resolve_stream)
        for membership in self._memberships:
            self._accept(membership.streams, self._expect_header)
            self._accept(membership.packets, self._expect_flow)
        for one in bound:
            if one.socket.type == _socket.SOCK_STREAM:
                self._accept(one.socket, self._publisher(one.container_port))
            else:
                self._receive(one.socket, self._taker(one.container_port))

    def close(self) -> None:
        """Stop listening and leave the networks; what is under way may go on for a moment."""
        for listener in self._listeners:
            self._loop.forget(listener.fileno())
            listener.close()
        for membership in self._memberships:
            membership.leave()

    # Connections

    def _accept(self, listener: _socket.socket, serve: Callable[[_socket.socket], None]) -> None:
        self._listeners.append(listener)

        def listen() -> None:
            if listener.fileno() >= 0:
                self._loop.want(listener.fileno(), IN, handle)

        def handle(events: int) -> None:
            try:
                for _ in range(_AT_ONCE):
                    caller = accepted(listener)
                    try:
                        serve(caller)
                    except (Refused, OSError):
                        reset(caller)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.want(listener.fileno(), 0, handle)
                    self._loop.after(_PAUSE, listen)

        listen()

    def _go_out(self, caller: _socket.socket) -> None:
        """Connect a connection of the container with where it wanted to go."""
        address, port = _destination(caller)
        peer = self._peer(address, peers.STREAM)
        if peer is not None:
            Pair(self._loop, caller, peer, peers.header(address, port))
        else:
            self._dial(caller, *self._allowed(address, port))

    def _dial(self, caller: _socket.socket, address: str, port: int, *, is_inside: bool = False) -> None:
        family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
        make = self._gateway.socket if is_inside else new_socket
        called = make(family, _socket.SOCK_STREAM)
        try:
            called.connect((address, port))
        except BlockingIOError:
            pass
        except OSError:
            called.close()
            raise
        Pair(self._loop, caller, called)

    def _publisher(self, port: int) -> Callable[[_socket.socket], None]:
        """Return what connects a caller of a published port with the container."""
        return lambda caller: self._dial(caller, self._inside, port, is_inside=True)

    def _expect_header(self, caller: _socket.socket) -> None:
        """Wait for the first bytes of a connection from the relay of another container."""
        said = b""

        def read(events: int) -> None:
            nonlocal said
            try:
                part = caller.recv(peers.HEADER_SIZE - len(said))
                said += part
                if part and len(said) < peers.HEADER_SIZE:
                    return
                self._loop.forget(caller.fileno())
                self._dial(caller, *self._own(said), is_inside=True)
            except BlockingIOError:
                return
            except (OSError, ValueError):
                self._loop.forget(caller.fileno())
                caller.close()

        self._loop.want(caller.fileno(), IN, read)

    def _own(self, said: bytes) -> tuple[str, int]:
        """Return address and port of a header if the address is the container's. Raises: ValueError."""
        address, port = peers.parse_header(said)
        if all(address != own for own, _ in self._subnets):
            raise ValueError("not an address of this container")
        return _socket.inet_ntop(*_family_and(address)), port

    # Datagrams

    def _receive(self, receiver: _socket.socket, serve: Callable[[_socket.socket], None]) -> None:
        self._listeners.append(receiver)

        def handle(events: int) -> None:
            try:
                for _ in range(_AT_ONCE):
                    serve(receiver)
            except OSError:
                return  # nothing left, or an answer of the network about an earlier datagram

        self._loop.want(receiver.fileno(), IN, handle)

    def _send_out(self, receiver: _socket.socket) -> None:
        data, control, _, caller = receiver.recvmsg(LARGEST, 256)
        address, port = _diverted(control)
        key = (caller[:2], address, port)

        def make() -> tuple[_socket.socket, Callable[[bytes], object], _socket.socket | None]:
            called = self._flow_to(address, port)
            back = self._gateway.socket(receiver.family, _socket.SOCK_DGRAM)
            make_transparent(back)
            back.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            back.bind((_socket.inet_ntop(*_family_and(address)), port))
            return called, lambda answer: back.sendto(answer, caller), back

        try:
            self._flows.send(key, data, make)
        except Refused:
            return

    def _flow_to(self, address: bytes, port: int) -> _socket.socket:
        peer = self._peer(address, peers.PACKET)
        if peer is not None:
            peer.send(peers.header(address, port))
            return peer
        text, port = self._allowed(address, port)
        return _connected(new_socket(_family_and(address)[0], _socket.SOCK_DGRAM), text, port)

    def _taker(self, port: int) -> Callable[[_socket.socket], None]:
        """Return what passes a datagram for a published port on to the container."""
        return lambda receiver: self._take_in(receiver, port)

    def _take_in(self, receiver: _socket.socket, port: int) -> None:
        data, caller = receiver.recvfrom(LARGEST)

        def make() -> tuple[_socket.socket, Callable[[bytes], object], None]:
            return self._into(self._inside, port), lambda answer: receiver.sendto(answer, caller), None

        self._flows.send((receiver.fileno(), caller), data, make)

    def _into(self, address: str, port: int) -> _socket.socket:
        family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
        return _connected(self._gateway.socket(family, _socket.SOCK_DGRAM), address, port)

    def _expect_flow(self, caller: _socket.socket) -> None:
        """Pass the datagrams of another container's flow on, once its header has come."""
        called: list[_socket.socket] = []

        def end() -> None:
            for one in (caller, *called):
                self._loop.forget(one.fileno())
                one.close()

        def back(events: int) -> None:
            try:
                caller.send(called[0].recv(LARGEST))
            except BlockingIOError:
                return
            except OSError:
                end()

        def read(events: int) -> None:
            try:
                data = caller.recv(LARGEST)
                if not called:
                    called.append(self._into(*self._own(data)))
                    self._loop.want(called[0].fileno(), IN, back)
                elif data:
                    called[0].send(data)
                else:
                    end()
            except BlockingIOError:
                return
            except (OSError, ValueError):
                end()

        self._loop.want(caller.fileno(), IN, read)

    # Names

    def _look_up(self, name: str) -> list[bytes] | None:
        for membership in self._memberships:
            found = membership.addresses_of(name)
            if found is not None:
                return found
        return None

    def _resolve_stream(self, caller: _socket.socket) -> None:
        if not self._servers:
            raise Refused
        self._dial(caller, self._servers[0], PORT)

    # Where to

    def _peer(self, address: bytes, suffix: str) -> _socket.socket | None:
        """Return a connection to the container of the same network that has an address; None if it is elsewhere."""
        for membership, endpoint in zip(self._memberships, self._orders["endpoints"], strict=True):
            for own, prefix, gateway in addresses(endpoint):
                if (
                    address != gateway
                    and len(address) == len(own)
                    and network_of(address, prefix) == network_of(own, prefix)
                ):
                    peer = membership.connect(address, suffix)
                    if peer is None:
                        raise Refused
                    return peer
        return None

    def _allowed(self, address: bytes, port: int) -> tuple[str, int]:
        """Return where on the host or beyond an address leads. Raises: Refused if that is not for containers."""
        if address in self._gateway.gateways:
            if not self._orders["opens_host"]:
                raise Refused
            return ("127.0.0.1" if len(address) == 4 else "::1"), port
        if address[:12] == _MAPPED:
            address = address[12:]
        if self._is_internal or _is_special(address) or _is_of_host(address):
            raise Refused
        return _socket.inet_ntop(*_family_and(address)), port


def _family_and(address: bytes) -> tuple[int, bytes]:
    return (_socket.AF_INET if len(address) == 4 else _socket.AF_INET6), address


def _is_special(address: bytes) -> bool:
    """Whether an address is a loopback one, unspecified, or one of many receivers."""
    if len(address) == 16:
        return address[:12] == bytes(12) or address[0] == 0xFF
    return address[0] in (0, 127) or address[0] >= 0xE0


def _is_of_host(address: bytes) -> bool:
    """Whether an address is one of the host's own: services there may trust whoever comes from the host."""
    family, text = _family_and(address)[0], _socket.inet_ntop(*_family_and(address))
    with_socket = new_socket(family, _socket.SOCK_DGRAM)
    try:
        with_socket.connect((text, 9))
        return packed(with_socket.getsockname()[0].partition("%")[0]) == address
    except OSError:
        return False  # there is no way there anyhow
    finally:
        with_socket.close()


def _connected(socket: _socket.socket, address: str, port: int) -> _socket.socket:
    try:
        socket.connect((address, port))
    except OSError:
        socket.close()
        raise
    return socket


def _destination(caller: _socket.socket) -> tuple[bytes, int]:
    """Return where a redirected connection was to go."""
    if caller.family == _socket.AF_INET:
        data = caller.getsockopt(_IP, _ORIGINAL_DESTINATION, 16)
        return data[4:8], struct.unpack_from(">H", data, 2)[0]
    data = caller.getsockopt(_IPV6, _ORIGINAL_DESTINATION, 28)
    return data[8:24], struct.unpack_from(">H", data, 2)[0]


def _diverted(control: list[tuple[int, int, bytes]]) -> tuple[bytes, int]:
    """Return where a diverted datagram was to go."""
    for level, _, data in control:
        at, size = (4, 4) if level == _IP else (8, 16)
        return data[at : at + size], struct.unpack_from(">H", data, 2)[0]
    raise OSError(errno.ENOMSG, "a datagram without destination")


def leave_everything_but(kept: list[int]) -> None:
    """Close what the stub has open: the streams of the container, its pipes."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # the listing's own
