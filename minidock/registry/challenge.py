"""How a server wants to be asked: the WWW-Authenticate headers of a 401.

Grammar: a list of schemes, each followed by ``name=value`` pairs with commas between; values may be quoted.
Source: RFC 9110, section 11; distribution, token specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field

from minidock.core.dataclass import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PART = re.compile(
    rf'\s*,?\s*(?:({_TOKEN})\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]+)|({_TOKEN})(?=\s|,|$))', re.ASCII | re.DOTALL
)
_LONGEST = 16 << 10


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to be let in: ``scheme`` in lower case (``bearer``, ``basic``), names of parameters too."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return what the headers offer, in their order; what cannot be read ends a header."""
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        position = 0
        is_first = True
        while len(header) <= _LONGEST and (part := _PART.match(header, position)) is not None:
            position = part.end()
            if part[3]:
                found.append((part[3].lower(), {}))
            elif is_first:
                break  # parameters of nothing
            else:
                found[-1][1].setdefault(part[1].lower(), _plain(part[2]))
            is_first = False
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL) if value.startswith('"') else value
