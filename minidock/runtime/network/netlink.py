"""Speaks netlink: one kernel object after the other is asked for, each refusal is an OSError that says of what.

Runs in the relay of a container, before that begins to serve; loads nothing but `_socket` and `struct`.
Source: rtnetlink(7), linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/fib_rules.h.
"""

from __future__ import annotations

import _socket
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ROUTE, NETFILTER = 0, 12

REQUEST, ACK, EXCLUSIVE, CREATE, APPEND = 1, 4, 0x200, 0x400, 0x800
NESTED = 0x8000

_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _NEW_ROUTE, _NEW_RULE = 16, 17, 20, 24, 32
_LINK_ADDRESS, _LINK_NAME, _LINK_MTU, _LINK_INFO, _LINK_NETNS_FD = 1, 3, 4, 18, 28
_UP = 1
_ADDRESS, _LOCAL_ADDRESS = 1, 2
_ADDRESS_FLAGS, _NO_DUPLICATE_CHECK, _NO_PREFIX_ROUTE = 8, 0x02, 0x200
_DESTINATION, _OUT, _GATEWAY = 1, 4, 5
_PROTOCOL_BOOT, _SCOPE_LINK, _SCOPE_HOST, _UNICAST, _LOCAL, _TABLE_MAIN = 3, 253, 254, 1, 2, 254
_RULE_TO_TABLE, _RULE_MARK, _RULE_TABLE = 1, 10, 15
_ERROR = 2
LOOPBACK = 1


def attribute(kind: int, data: bytes) -> bytes:
    """Return one attribute: length, kind, data, padded to four bytes."""
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def nested(kind: int, *members: bytes) -> bytes:
    """Return an attribute that consists of attributes."""
    return attribute(kind | NESTED, b"".join(members))


def message(kind: int, flags: int, body: bytes, number: int = 0) -> bytes:
    """Return a whole message."""
    return struct.pack("=IHHII", len(body) + 16, kind, flags, number, 0) + body


def text(value: str) -> bytes:
    """Return a string as attributes hold it."""
    return value.encode() + b"\0"


class Netlink:
    """A netlink socket; it belongs to the network namespace of the thread that has made it, wherever it is used."""

    def __init__(self, protocol: int = ROUTE) -> None:
        self._socket = _socket.socket(16, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, protocol)
        self._number = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, what: str, kind: int, flags: int, body: bytes) -> None:
        """Send one request and wait until it has been carried out. Raises: OSError, whose file name is ``what``."""
        self._number += 1
        self._socket.send(message(kind, flags | REQUEST | ACK, body, self._number))
        self._await(what, {self._number})

    def ask_all(self, what: str, data: bytes, numbers: Iterable[int]) -> None:
        """Send several messages at once and wait for the answers to those with ``numbers``. Raises: OSError."""
        self._socket.send(data)
        self._await(what, set(numbers))

    def _await(self, what: str, awaited: set[int]) -> None:
        while awaited:
            data = self._socket.recv(1 << 16)
            while data:
                size, kind, _, number, _ = struct.unpack_from("=IHHII", data)
                if kind == _ERROR:
                    code = struct.unpack_from("=i", data, 16)[0]
                    if code:
                        raise OSError(-code, os.strerror(-code), what)
                    awaited.discard(number)
                data = data[(size + 3) & ~3 :]

    def add_pair(self, index: int, name: str, peer_name: str, peer_namespace: int, mac: bytes, mtu: int) -> None:
        """Make two connected devices, both with this ``index``: ``name`` here, its peer in the other namespace."""
        peer = _link(index) + attribute(_LINK_NAME, text(peer_name)) + attribute(_LINK_MTU, struct.pack("=I", mtu))
        peer += attribute(_LINK_ADDRESS, mac) + attribute(_LINK_NETNS_FD, struct.pack("=I", peer_namespace))
        body = _link(index) + attribute(_LINK_NAME, text(name)) + attribute(_LINK_MTU, struct.pack("=I", mtu))
        body += nested(_LINK_INFO, attribute(1, b"veth"), nested(2, attribute(1, peer)))
        self.ask("network device veth", _NEW_LINK, CREATE | EXCLUSIVE, body)

    def remove_device(self, index: int) -> None:
        """Remove a device, and with it its peer and all their addresses and routes."""
        self.ask("network device", _DELETE_LINK, 0, _link(index))

    def rise(self, index: int = LOOPBACK) -> None:
        """Switch a device on."""
        self.ask("network device", _NEW_LINK, 0, _link(index, flags=_UP))

    def add_address(self, index: int, address: bytes, prefix: int, *, has_neighbours: bool) -> None:
        """Give a device an address; with ``has_neighbours`` the network around it is directly connected."""
        flags = _NO_DUPLICATE_CHECK | (0 if has_neighbours else _NO_PREFIX_ROUTE)
        body = struct.pack("=BBBBI", family_of(address), prefix, flags & 0xFF, 0, index)
        body += attribute(_LOCAL_ADDRESS, address) + attribute(_ADDRESS, address)
        body += attribute(_ADDRESS_FLAGS, struct.pack("=I", flags))
        self.ask("network address", _NEW_ADDRESS, CREATE | EXCLUSIVE, body)

    def add_route(self, index: int, target: bytes, prefix: int, gateway: bytes | None) -> None:
        """Send what is for a network to a gateway, or directly; with prefix length 0 all that is for elsewhere."""
        scope = _SCOPE_LINK if gateway is None else 0
        body = _route(family_of(target), _TABLE_MAIN, scope, _UNICAST, prefix) + attribute(_DESTINATION, target)
        if gateway is not None:
            body += attribute(_GATEWAY, gateway)
        self.ask("route", _NEW_ROUTE, CREATE | EXCLUSIVE, body + attribute(_OUT, struct.pack("=I", index)))

    def take_marked(self, family: int, mark: int, table: int) -> None:
        """Let packets with a mark, wherever they are sent to, be received here."""
        rule = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, _RULE_TO_TABLE, 0)
        rule += attribute(_RULE_MARK, struct.pack("=I", mark)) + attribute(_RULE_TABLE, struct.pack("=I", table))
        self.ask("routing rule", _NEW_RULE, CREATE | EXCLUSIVE, rule)
        route = _route(family, table, _SCOPE_HOST, _LOCAL) + attribute(_OUT, struct.pack("=I", LOOPBACK))
        self.ask("local route", _NEW_ROUTE, CREATE | EXCLUSIVE, route)


def family_of(address: bytes) -> int:
    """Return the address family of a packed address."""
    return int(_socket.AF_INET if len(address) == 4 else _socket.AF_INET6)


def _link(index: int, flags: int = 0) -> bytes:
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, flags)


def _route(family: int, table: int, scope: int, kind: int, prefix: int = 0) -> bytes:
    return struct.pack("=BBBBBBBBI", family, prefix, 0, 0, table, _PROTOCOL_BOOT, scope, kind, 0)
