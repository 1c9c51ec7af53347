"""Lengths of time as docker's flags and HEALTHCHECK write them."""

from __future__ import annotations

import re

from minidock.core.quoting import quoted

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(?=\.?[0-9])([0-9]*)\.?([0-9]*)([^0-9.]*)", re.ASCII)
_DIGITS = 19  # more in front are out of range, and more behind the point are nothing, even of an hour
_LONGEST = 2**63 - 1


class BadDuration(ValueError):
    """Text that is not a duration, in Go's words."""


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a Go duration such as ``1m30s``. Raises: BadDuration."""
    unsigned = text[1:] if text[:1] in ("+", "-") and text else text
    if unsigned == "0":
        return 0
    total = 0
    position = 0
    while position < len(unsigned) or not unsigned:
        part = _PART.match(unsigned, position)
        if part is None:
            raise BadDuration(f"time: invalid duration {quoted(text)}")
        whole, fraction, unit = part[1].lstrip("0"), part[2][:_DIGITS], part[3]
        if not unit:
            raise BadDuration(f"time: missing unit in duration {quoted(text)}")
        if unit not in _UNITS:
            raise BadDuration(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        if len(whole) > _DIGITS:
            raise BadDuration(f"time: invalid duration {quoted(text)}")
        total += int(whole + fraction or "0") * _UNITS[unit] // 10 ** len(fraction)
        position = part.end()
    if total > _LONGEST:
        raise BadDuration(f"time: invalid duration {quoted(text)}")
    return -total if text.startswith("-") else total


def format_duration(nanoseconds: int) -> str:
    """Return a duration as Go prints it: ``1m30s``, ``1.5s``, ``5m0s``, ``0s``."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit, size in (("ns", 1), ("\u00b5s", 1_000), ("ms", 1_000_000)):
        if 0 < rest < size * 1_000:
            return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, seconds = divmod(rest, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{shown}{_decimal(seconds, _UNITS['s'])}s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
