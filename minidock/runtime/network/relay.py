"""Carries what a container sends and receives between its gateway (`gateway`) and the host's network.

A process of its own, forked by the stub before that leaves the host's network. It ends when the stub has: then nothing
of the network is left. The container ends when it ends.
"""

from __future__ import annotations

import _socket
import errno

from minidock.runtime.network import control, peers
from minidock.runtime.network.datagrams import LARGEST, Flows
from minidock.runtime.network.destinations import (
    connected,
    destination,
    diverted,
    family_and,
    is_of_host,
    is_special,
    reason,
)
from minidock.runtime.network.gateway import Gateway, addresses, make_transparent, network_of
from minidock.runtime.network.loop import IN, Loop, accepted, new_socket
from minidock.runtime.network.resolver import PORT, Resolver
from minidock.runtime.network.streams import Pair, reset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from minidock.runtime.network.published import Bound
    from minidock.runtime.orders import EndpointOrders, NetworkOrders

_PAUSE = 0.1  # seconds without accepting when there are no descriptors
_AT_ONCE = 64
_MAPPED = bytes(10) + b"\xff\xff"  # IPv4 addresses written as IPv6 ones


class Refused(Exception):
    """Nobody in the container may reach this address."""


class Relay:
    """Everything that is served for one container."""

    def __init__(self, loop: Loop, orders: NetworkOrders, gateway: Gateway, bound: list[Bound]) -> None:
        self._loop = loop
        self._opens_host = orders["opens_host"]
        self._id = orders["id"]
        self._gateway = gateway
        self._flows = Flows(loop)
        self._endpoints: list[tuple[EndpointOrders, peers.Membership]] = []
        self._all_servers = orders["resolvers"]
        self._resolver = Resolver(loop, self._servers, self._look_up)
        self._listeners: list[_socket.socket] = []
        self._served: set[_socket.socket] = set()
        self.connect(orders["endpoints"])
        for one in bound:
            if one.socket.type == _socket.SOCK_STREAM:
                self._accept(one.socket, self._publisher(one.container_port))
            else:
                self._receive(one.socket, self._taker(one.container_port))
        if orders["control"]:
            self._accept(control.listen(orders["control"]), self._expect_request)

    def connect(self, endpoints: list[EndpointOrders]) -> None:
        """Connect the container with networks. Raises: OSError; then it is connected with none of them."""
        joined = [
            (one, peers.Membership(one["directory"], self._id, one["names"], [item[0] for item in addresses(one)]))
            for one in endpoints
        ]
        try:
            name_servers = self._gateway.add(endpoints)
        except OSError:
            for _, membership in joined:
                membership.leave()
            raise
        self._endpoints += joined
        for listener in self._gateway.streams:
            if listener not in self._served:
                self._served.add(listener)
                self._accept(listener, self._go_out)
        for receiver in self._gateway.datagrams:
            if receiver not in self._served:
                self._served.add(receiver)
                self._receive(receiver, self._send_out)
        for receiver, listener in name_servers:
            self._receive(receiver, self._resolver.serve)
            self._accept(listener, self._resolve_stream)
        for _, membership in joined:
            self._accept(membership.streams, self._expect_header)
            self._accept(membership.packets, self._expect_flow)

    def disconnect(self, endpoint: EndpointOrders) -> None:
        """Take the container off the network of an endpoint. Raises: LookupError, OSError."""
        joined = next((one for one in self._endpoints if one[0]["directory"] == endpoint["directory"]), None)
        if joined is None:
            raise LookupError("the container is not connected with that network")
        self._gateway.remove(joined[0])
        self._endpoints.remove(joined)
        for listener in (joined[1].streams, joined[1].packets):
            self._loop.forget(listener.fileno())
            self._listeners.remove(listener)
        joined[1].leave()

    def close(self) -> None:
        """Stop listening and leave the networks; what is under way may go on for a moment."""
        for listener in self._listeners:
            self._loop.forget(listener.fileno())
            listener.close()
        for _, membership in self._endpoints:
            membership.leave()

    def _servers(self) -> list[str]:
        return [] if self._is_internal else self._all_servers

    @property
    def _is_internal(self) -> bool:
        return all(endpoint["is_internal"] for endpoint, _ in self._endpoints)

    @property
    def _inside(self) -> str:
        """The address at which the container's own services are called. Raises: Refused if it has none."""
        for endpoint, _ in self._endpoints:
            for address, _, _ in addresses(endpoint):
                return _socket.inet_ntop(*family_and(address))
        raise Refused

    def _expect_request(self, caller: _socket.socket) -> None:
        """Carry out one change of the networks, once it has come (`control`)."""

        def read(events: int) -> None:
            self._loop.forget(caller.fileno())
            try:
                said = caller.recv(LARGEST)
                if said:
                    verb, endpoint = control.request(said)
                    if verb == control.CONNECT:
                        self.connect([endpoint])
                    else:
                        self.disconnect(endpoint)
                    control.answer(caller, "")
            except Exception as error:
                control.answer(caller, reason(error))
            caller.close()

        self._loop.want(caller.fileno(), IN, read)

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
        address, port = destination(caller)
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
        if all(address != own for endpoint, _ in self._endpoints for own, _, _ in addresses(endpoint)):
            raise ValueError("not an address of this container")
        return _socket.inet_ntop(*family_and(address)), port

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
        address, port = diverted(control)
        key = (caller[:2], address, port)

        def make() -> tuple[_socket.socket, Callable[[bytes], object], _socket.socket | None]:
            called = self._flow_to(address, port)
            back = self._gateway.socket(receiver.family, _socket.SOCK_DGRAM)
            make_transparent(back)
            back.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            back.bind((_socket.inet_ntop(*family_and(address)), port))
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
        return connected(new_socket(family_and(address)[0], _socket.SOCK_DGRAM), text, port)

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
        return connected(self._gateway.socket(family, _socket.SOCK_DGRAM), address, port)

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
        for _, membership in self._endpoints:
            found = membership.addresses_of(name)
            if found is not None:
                return found
        return None

    def _resolve_stream(self, caller: _socket.socket) -> None:
        servers = self._servers()
        if not servers:
            raise Refused
        self._dial(caller, servers[0], PORT)

    # Where to

    def _peer(self, address: bytes, suffix: str) -> _socket.socket | None:
        """Return a connection to the container of the same network that has an address; None if it is elsewhere."""
        for endpoint, membership in self._endpoints:
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
            if not self._opens_host:
                raise Refused
            return ("127.0.0.1" if len(address) == 4 else "::1"), port
        if address[:12] == _MAPPED:
            address = address[12:]
        if self._is_internal or is_special(address) or is_of_host(address):
            raise Refused
        return _socket.inet_ntop(*family_and(address)), port
