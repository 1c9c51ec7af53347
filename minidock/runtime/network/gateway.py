"""The other end of a container's network: a namespace that a thread of the relay lives in, and makes sockets in.

::

    host's namespace            gateway's (this thread)         container's
    relay: dials, listens  ──   md0 172.17.0.1 ════ veth ═══   eth0 172.17.0.2, default route
                                rules: TCP and UDP to the relay's sockets; names on port 53

The namespace of a socket is that of the thread that has made it; the descriptor serves the whole process. Nothing of
the host's own network is changed, as root or as anybody else.
"""

from __future__ import annotations

import _socket
import _thread
import os
import struct

from minidock.runtime import syscalls
from minidock.runtime.network import rules
from minidock.runtime.network.netlink import NETFILTER, Netlink, family_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.launch import EndpointOrders, NetworkOrders

_MTU = 65520  # nothing of it ever travels
_FIRST_INDEX = 100  # some kernels put devices of their own into every namespace
_BACKLOG = 1024
_BUFFER_SIZE = 1 << 21
_TRANSPARENT = {_socket.AF_INET: (0, 19), _socket.AF_INET6: (41, 75)}
_RECEIVE_DESTINATION = {_socket.AF_INET: (0, 20), _socket.AF_INET6: (41, 74)}


def packed(address: str) -> bytes:
    """Return an address in network order."""
    return _socket.inet_pton(_socket.AF_INET6 if ":" in address else _socket.AF_INET, address)


def addresses(endpoint: EndpointOrders) -> list[tuple[bytes, int, bytes]]:
    """Return (address, prefix length, gateway) for every family that an endpoint has."""
    found = [(endpoint["address"], endpoint["gateway"]), (endpoint["address6"], endpoint["gateway6"])]
    return [
        (packed(address.partition("/")[0]), int(address.partition("/")[2]), packed(gateway))
        for address, gateway in found
        if address
    ]


def network_of(address: bytes, prefix: int) -> bytes:
    """Return the first address of the network around an address."""
    host_bits = len(address) * 8 - prefix
    return (int.from_bytes(address, "big") >> host_bits << host_bits).to_bytes(len(address), "big")


class Gateway:
    """The thread, and what it has made; everything but ``socket`` is there once the constructor has returned."""

    def __init__(self, orders: NetworkOrders, container: int) -> None:
        self.streams: list[_socket.socket] = []
        self.datagrams: list[_socket.socket] = []
        self.name_servers: list[tuple[_socket.socket, _socket.socket]] = []
        self.gateways = [gateway for one in orders["endpoints"] for _, _, gateway in addresses(one)]
        self._requests, self._ask = os.pipe()
        self._answers, self._tell = os.pipe()
        self._failure: BaseException | None = None
        _thread.start_new_thread(self._run, (orders, container))
        os.read(self._answers, 4)
        if self._failure is not None:
            raise self._failure

    def socket(self, family: int, kind: int) -> _socket.socket:
        """Return a new socket in the gateway's namespace that does not block. Raises: OSError."""
        os.write(self._ask, struct.pack("=ii", family, kind | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC))
        fd = int(struct.unpack("=i", os.read(self._answers, 4))[0])
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd), "socket")
        return _socket.socket(fileno=fd)

    def _run(self, orders: NetworkOrders, container: int) -> None:
        try:
            self._make(orders, container)
        except BaseException as error:  # told where the thread was started
            self._failure = error
        os.write(self._tell, bytes(4))
        while self._failure is None:
            family, kind = struct.unpack("=ii", os.read(self._requests, 8))
            try:
                fd = _socket.socket(family, kind).detach()
            except OSError as error:
                fd = -(error.errno or 1)
            os.write(self._tell, struct.pack("=i", fd))

    def _make(self, orders: NetworkOrders, container: int) -> None:
        syscalls.setns(container, syscalls.CLONE_NEWNET)
        inside = Netlink()
        _allow_low_ports()
        syscalls.unshare(syscalls.CLONE_NEWNET)
        outside = Netlink()
        outside.rise()
        inside.rise()
        routed: set[int] = set()
        for number, endpoint in enumerate(orders["endpoints"]):
            index = _FIRST_INDEX + number
            mac = bytes.fromhex(endpoint["mac"].replace(":", ""))
            outside.add_pair(index, f"md{number}", f"eth{number}", container, mac, _MTU)
            outside.rise(index)
            inside.rise(index)
            for address, prefix, gateway in addresses(endpoint):
                outside.add_address(index, gateway, prefix, has_neighbours=True)
                # The others on the network are reached through the relay too: nobody would answer for them here.
                inside.add_address(index, address, prefix, has_neighbours=False)
                inside.add_route(index, gateway, len(gateway) * 8, None)
                inside.add_route(index, network_of(address, prefix), prefix, gateway)
                if not endpoint["is_internal"] and family_of(gateway) not in routed:
                    routed.add(family_of(gateway))
                    inside.add_route(index, bytes(len(gateway)), 0, gateway)
        inside.close()
        self._listen(outside, opens_host=orders["opens_host"])
        outside.close()

    def _listen(self, outside: Netlink, *, opens_host: bool) -> None:
        netfilter = Netlink(NETFILTER)
        families = sorted({family_of(gateway) for gateway in self.gateways})
        port = 0
        for family in families:
            listener = _listener(family, port)
            port = listener.getsockname()[1]
            self.streams.append(listener)
        rules.redirect_tcp(netfilter, port, self.gateways, opens_host=opens_host)
        try:
            rules.divert_udp(netfilter, port, self.gateways, opens_host=opens_host)
            for family in families:
                outside.take_marked(family, rules.MARK, rules.TABLE)
                self.datagrams.append(_transparent(family, port))
        except OSError:
            pass  # a kernel without nft_tproxy: names and TCP only, as the documentation says
        netfilter.close()
        for gateway in self.gateways:
            family, text = family_of(gateway), _socket.inet_ntop(family_of(gateway), gateway)
            datagrams = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
            datagrams.bind((text, 53))
            self.name_servers.append((datagrams, _listener(family, 53, text)))


def _listener(family: int, port: int, address: str = "") -> _socket.socket:
    listener = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    if family == _socket.AF_INET6:
        listener.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
    listener.bind((address, port))
    listener.listen(_BACKLOG)
    return listener


def _transparent(family: int, port: int) -> _socket.socket:
    """Return a socket that receives datagrams for any address, and is told which."""
    receiver = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    if family == _socket.AF_INET6:
        receiver.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
    make_transparent(receiver)
    receiver.setsockopt(*_RECEIVE_DESTINATION[receiver.family], 1)
    receiver.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, _BUFFER_SIZE)
    receiver.bind(("", port))
    return receiver


def make_transparent(socket: _socket.socket) -> None:
    """Let a socket of the gateway's namespace have any address."""
    socket.setsockopt(*_TRANSPARENT[socket.family], 1)


def _allow_low_ports() -> None:
    """Let every user inside listen on every port and ping, as docker does."""
    for name, value in (("ip_unprivileged_port_start", b"0"), ("ping_group_range", b"0 2147483647")):
        try:
            fd = os.open(f"/proc/sys/net/ipv4/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue  # read-only in an outer container
        try:
            os.write(fd, value)
        except OSError:
            pass  # group ids that are not mapped: then only root pings
        finally:
            os.close(fd)
