"""The packet rules of a container's gateway: what it sends elsewhere ends up at the relay. By nf_tables' netlink.

Source: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h; the shape of the messages as `nft --debug=netlink`
prints them.
"""

from __future__ import annotations

import struct

from minidock.runtime.network.netlink import ACK, APPEND, CREATE, REQUEST, Netlink, attribute, message, nested, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MARK, TABLE = 0x6D64, 100

_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_BOTH_FAMILIES = 1
_PREROUTING = 0
_DESTINATION_NAT, _MANGLE = -100, -150
_META_FAMILY, _META_PROTOCOL, _META_MARK = 15, 16, 3
_NETWORK, _TRANSPORT = 1, 2
_ACCEPT = 1
_IP4, _IP6, _TCP, _UDP = 2, 10, 6, 17
_DNS_PORT = 53
_REGISTER = 1


def redirect_tcp(netlink: Netlink, port: int, gateways: Sequence[bytes], *, opens_host: bool) -> None:
    """Send every TCP connection that comes in to the listener on ``port``, but those to a gateway itself.

    With ``opens_host`` those too, except for names. Raises: OSError if the kernel lacks what that needs.
    """
    rules = [[*_to_gateway(gateway, _TCP, only_names=opens_host), _accept()] for gateway in gateways]
    redirect = [*_of_protocol(_TCP), _load(struct.pack(">H", port)), _expression("redir", (1, _number(_REGISTER)))]
    _install(netlink, "tcp", b"nat", _DESTINATION_NAT, [*rules, redirect])


def divert_udp(netlink: Netlink, port: int, gateways: Sequence[bytes], *, opens_host: bool) -> None:
    """Hand every datagram that comes in to the transparent socket on ``port``, as `redirect_tcp` does."""
    rules = [[*_to_gateway(gateway, _UDP, only_names=opens_host), _accept()] for gateway in gateways]
    divert = [
        *_of_protocol(_UDP),
        _load(struct.pack(">H", port)),
        _expression("tproxy", (1, _number(0)), (3, _number(_REGISTER))),
        _load(struct.pack("=I", MARK)),
        _expression("meta", (2, _number(_META_MARK)), (3, _number(_REGISTER))),
        _accept(),
    ]
    _install(netlink, "udp", b"filter", _MANGLE, [*rules, divert])


def _install(netlink: Netlink, name: str, kind: bytes, priority: int, rules: Sequence[Sequence[bytes]]) -> None:
    """Make a table with one chain of rules, in place of one with its name, as one transaction."""
    table = attribute(1, text(name))
    hook = nested(4, attribute(1, _number(_PREROUTING)), attribute(2, struct.pack(">i", priority)))
    chain = attribute(1, text(name)) + attribute(3, text(name)) + hook + attribute(7, kind + b"\0")
    wanted = [
        (_NEW_TABLE, CREATE, table),
        (_DELETE_TABLE, 0, table),
        (_NEW_TABLE, CREATE, table),
        (_NEW_CHAIN, CREATE, chain),
    ]
    for rule in rules:
        listed = nested(4, *(nested(1, expression) for expression in rule))
        wanted.append((_NEW_RULE, CREATE | APPEND, attribute(1, text(name)) + attribute(2, text(name)) + listed))
    data = _control(_BATCH_BEGIN)
    header = struct.pack(">BBH", _BOTH_FAMILIES, 0, 0)
    for number, (verb, flags, body) in enumerate(wanted, 1):
        data += message(_SUBSYSTEM << 8 | verb, REQUEST | ACK | flags, header + body, number)
    netlink.ask_all(f"packet rules (nf_tables) for {name}", data + _control(_BATCH_END), range(1, len(wanted) + 1))


def _control(kind: int) -> bytes:
    return message(kind, REQUEST, struct.pack(">BBH", 0, 0, _SUBSYSTEM))


def _number(value: int) -> bytes:
    return struct.pack(">I", value)


def _expression(name: str, *members: tuple[int, bytes]) -> bytes:
    return attribute(1, text(name)) + nested(2, *(attribute(kind, data) for kind, data in members))


def _load(value: bytes) -> bytes:
    data = attribute(1, value)
    return attribute(1, text("immediate")) + nested(2, attribute(1, _number(_REGISTER)), nested(2, data))


def _accept() -> bytes:
    verdict = nested(2, attribute(1, _number(_ACCEPT)))
    return attribute(1, text("immediate")) + nested(2, attribute(1, _number(0)), nested(2, verdict))


def _is(value: bytes) -> bytes:
    compared = nested(3, attribute(1, value))
    return attribute(1, text("cmp")) + nested(2, attribute(1, _number(_REGISTER)), attribute(2, _number(0)), compared)


def _meta(key: int) -> bytes:
    return _expression("meta", (1, _number(_REGISTER)), (2, _number(key)))


def _payload(base: int, offset: int, size: int) -> bytes:
    members = [(1, _REGISTER), (2, base), (3, offset), (4, size)]
    return _expression("payload", *((kind, _number(value)) for kind, value in members))


def _of_protocol(protocol: int) -> list[bytes]:
    return [_meta(_META_PROTOCOL), _is(bytes([protocol]))]


def _to_gateway(gateway: bytes, protocol: int, *, only_names: bool) -> list[bytes]:
    """Match what is for a gateway, its port for names only if so wanted."""
    is_ip4 = len(gateway) == 4
    matches = [_meta(_META_FAMILY), _is(bytes([_IP4 if is_ip4 else _IP6])), *_of_protocol(protocol)]
    matches += [_payload(_NETWORK, 16 if is_ip4 else 24, len(gateway)), _is(gateway)]
    if only_names:
        matches += [_payload(_TRANSPORT, 2, 2), _is(struct.pack(">H", _DNS_PORT))]
    return matches
