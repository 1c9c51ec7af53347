"""The name server of a container: names of its networks answered here, all others by the host's resolvers.

Source: RFC 1035, sections 4.1.1 to 4.1.4.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_A, _AAAA, _INTERNET = 1, 28, 1
_SECONDS = 0  # nothing is to remember where a container is
_ANSWER, _RECURSION_WANTED, _RECURSION_OFFERED = 0x8000, 0x0100, 0x0080
_SERVER_FAILURE = 2
_HEADER_SIZE = 12


def answer(query: bytes, look_up: Callable[[str], list[bytes] | None]) -> bytes | None:
    """Return the answer to a query whose name ``look_up`` (lower case, no final dot) knows, or None."""
    question = _question(query)
    if question is None:
        return None
    name, kind, end = question
    addresses = look_up(name)
    if addresses is None:
        return None
    size = {_A: 4, _AAAA: 16}.get(kind, 0)
    wanted = [address for address in addresses if len(address) == size]
    records = b"".join(
        struct.pack(">HHHIH", 0xC000 | _HEADER_SIZE, kind, _INTERNET, _SECONDS, size) + address for address in wanted
    )
    return _head(query, len(wanted), 0) + query[_HEADER_SIZE:end] + records


def failure(query: bytes) -> bytes | None:
    """Return the answer that says that there is none."""
    question = _question(query)
    return None if question is None else _head(query, 0, _SERVER_FAILURE) + query[_HEADER_SIZE : question[2]]


def _head(query: bytes, count: int, code: int) -> bytes:
    number, flags = struct.unpack_from(">HH", query)
    flags = _ANSWER | (flags & _RECURSION_WANTED) | _RECURSION_OFFERED | code
    return struct.pack(">HHHHHH", number, flags, 1, count, 0, 0)


def _question(query: bytes) -> tuple[str, int, int] | None:
    """Return name, type and end of the one question of a query; None if it is not such a query."""
    if len(query) < _HEADER_SIZE:
        return None
    _, flags, questions = struct.unpack_from(">HHH", query)
    if flags & 0xF800 or questions != 1:
        return None
    labels, at = [], _HEADER_SIZE
    while at < len(query) and 0 < query[at] < 0x40:
        labels.append(query[at + 1 : at + 1 + query[at]])
        at += 1 + query[at]
    if at + 5 > len(query) or query[at]:
        return None
    kind, of = struct.unpack_from(">HH", query, at + 1)
    if of != _INTERNET:
        return None
    return b".".join(labels).decode("ascii", "replace").lower(), kind, at + 5
