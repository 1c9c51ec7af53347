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
import errno
import os

from minidock.runtime import syscalls
from minidock.runtime.network import rules
from minidock.runtime.network.netlink import LOOPBACK, NETFILTER, Netlink, family_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from minidock.runtime.orders import EndpointOrders, NetworkOrders

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


class _Device:
    """One end of a container's connection with a network; the other end has the same index."""

    def __init__(self, index: int, endpoint: EndpointOrders) -> None:
        self.index, self.endpoint = index, endpoint


class Gateway:
    """The thread, and what it has made. What the methods do happens in the thread, and is done when they return."""

    def __init__(self, orders: NetworkOrders, container: int) -> None:
        self.streams: list[_socket.socket] = []
        self.datagrams: list[_socket.socket] = []
        self.gateways: list[bytes] = []
        self._opens_host = orders["opens_host"]
        self._container = os.dup(container)
        self._devices: list[_Device] = []
        self._routes: dict[int, int] = {}  # of each family, the device that leads elsewhere
        self._requests, self._ask = os.pipe()
        self._answers, self._tell = os.pipe()
        self._work: Callable[[], object] = self._enter
        self._failure: BaseException | None = None
        _thread.start_new_thread(self._run, ())
        self._call(self._enter)

    def socket(self, family: int, kind: int) -> _socket.socket:
        """Return a new socket in the gateway's namespace that does not block. Raises: OSError."""
        made: list[_socket.socket] = []
        kind |= _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
        self._call(lambda: made.append(_socket.socket(family, kind)))
        return made[0]

    def add(self, endpoints: list[EndpointOrders]) -> list[tuple[_socket.socket, _socket.socket]]:
        """Connect the container with networks; return what is asked for names, by datagrams and by streams.

        Nothing stays of a connection that cannot be made. Raises: OSError.
        """
        servers: list[tuple[_socket.socket, _socket.socket]] = []
        self._call(lambda: self._add(endpoints, servers))
        return servers

    def remove(self, endpoint: EndpointOrders) -> None:
        """Take the container off a network. Its gateway goes on to answer for names: the container knows no other."""
        self._call(lambda: self._remove(endpoint))

    def _call(self, work: Callable[[], object]) -> None:
        self._work = work
        os.write(self._ask, b"w")
        os.read(self._answers, 1)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _run(self) -> None:
        while os.read(self._requests, 1):
            try:
                self._work()
            except BaseException as error:  # told where the work was asked for
                self._failure = error
            os.write(self._tell, b"d")

    def _enter(self) -> None:
        syscalls.setns(self._container, syscalls.CLONE_NEWNET)
        self._inside = Netlink()
        _allow_low_ports()
        syscalls.unshare(syscalls.CLONE_NEWNET)
        self._outside = Netlink()
        self._netfilter = Netlink(NETFILTER)
        self._outside.rise()
        self._inside.rise()

    def _add(self, endpoints: list[EndpointOrders], servers: list[tuple[_socket.socket, _socket.socket]]) -> None:
        known = list(self._devices)
        try:
            for endpoint in endpoints:
                self._add_device(endpoint)
            self._lead_out()
            self._listen()
            self._serve_names(endpoints, servers)
        except OSError:
            for device in [device for device in self._devices if device not in known]:
                self._remove(device.endpoint)
            raise

    def _serve_names(
        self, endpoints: list[EndpointOrders], servers: list[tuple[_socket.socket, _socket.socket]]
    ) -> None:
        for gateway in dict.fromkeys(gateway for one in endpoints for _, _, gateway in addresses(one)):
            family, text = family_of(gateway), _socket.inet_ntop(family_of(gateway), gateway)
            datagrams = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
            try:
                datagrams.bind((text, 53))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue  # the container has been on this network before
            servers.append((datagrams, _listener(family, 53, text)))

    def _add_device(self, endpoint: EndpointOrders) -> None:
        used = {device.index for device in self._devices}
        number = next(number for number in range(len(used) + 1) if _FIRST_INDEX + number not in used)
        index = _FIRST_INDEX + number
        mac = bytes.fromhex(endpoint["mac"].replace(":", ""))
        self._outside.add_pair(index, f"md{number}", f"eth{number}", self._container, mac, _MTU)
        try:
            self._outside.rise(index)
            self._inside.rise(index)
            for address, prefix, gateway in addresses(endpoint):
                self._outside.add_address(index, gateway, prefix, has_neighbours=True)
                # The others on the network are reached through the relay too: nobody would answer for them here.
                self._inside.add_address(index, address, prefix, has_neighbours=False)
                self._inside.add_route(index, gateway, len(gateway) * 8, None)
                self._inside.add_route(index, network_of(address, prefix), prefix, gateway)
        except OSError:
            self._outside.remove_device(index)
            raise
        self._devices.append(_Device(index, endpoint))
        self.gateways += [gateway for _, _, gateway in addresses(endpoint) if gateway not in self.gateways]

    def _lead_out(self) -> None:
        """Give the container a way to elsewhere where it has none and one of its networks leads there."""
        for device in self._devices:
            for _, _, gateway in addresses(device.endpoint):
                if not device.endpoint["is_internal"] and family_of(gateway) not in self._routes:
                    self._inside.add_route(device.index, bytes(len(gateway)), 0, gateway)
                    self._routes[family_of(gateway)] = device.index

    def _remove(self, endpoint: EndpointOrders) -> None:
        device = next(device for device in self._devices if device.endpoint == endpoint)
        self._devices.remove(device)
        self._outside.remove_device(device.index)
        self._routes = {family: index for family, index in self._routes.items() if index != device.index}
        for _, _, gateway in addresses(endpoint):
            try:
                self._outside.add_address(LOOPBACK, gateway, len(gateway) * 8, has_neighbours=False)
            except FileExistsError:
                continue  # it has been off this network before
        self._lead_out()

    def _listen(self) -> None:
        families = sorted({family_of(gateway) for gateway in self.gateways} - {one.family for one in self.streams})
        port = self.streams[0].getsockname()[1] if self.streams else 0
        for family in families:
            listener = _listener(family, port)
            port = listener.getsockname()[1]
            self.streams.append(listener)
        rules.redirect_tcp(self._netfilter, port, self.gateways, opens_host=self._opens_host)
        try:
            rules.divert_udp(self._netfilter, port, self.gateways, opens_host=self._opens_host)
            for family in families:
                self._outside.take_marked(family, rules.MARK, rules.TABLE)
                self.datagrams.append(_transparent(family, port))
        except OSError:
            pass  # a kernel without nft_tproxy: names and TCP only, as the documentation says


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
