"""Sizes and ages as docker writes them, and sizes as users write them.

Source: docker's go-units (`HumanSizeWithPrecision`, `BytesSize`, `RAMInBytes`, `HumanDuration`) as seen from outside.
"""

from __future__ import annotations

import re
from datetime import datetime

from minidock.errors import InvalidUnit

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_MULTIPLES = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"(?P<number>.*[0-9.])? ?(?P<suffix>[^0-9. ]*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)

MINUTE = 60
HOUR = 60 * MINUTE


def _scale(size: int, base: int, units: tuple[str, ...]) -> tuple[float, int]:
    """Return ``size`` divided by ``base`` until it is smaller, and the index of its unit."""
    value, unit = float(size), 0
    while value >= base and unit + 1 < len(units):
        value /= base
        unit += 1
    return value, unit


def human_size(size: int, digits: int = 3) -> str:
    """Return ``size`` bytes in decimal units with ``digits`` significant digits: ``1.98MB``.

    Docker shows ``1e+03kB`` for 999,500 to 999,999 bytes at three digits; this is ``1MB``.
    """
    if 0 <= size < 1000 and digits >= 3:
        return f"{size}B"  # most files of an image
    value, unit = _scale(size, 1000, _DECIMAL)
    text = f"{value:.{digits}g}"
    if "e" in text and unit + 1 < len(_DECIMAL):
        text, unit = "1", unit + 1
    return text + _DECIMAL[unit]


def binary_size(size: int) -> str:
    """Return ``size`` bytes in binary units with four significant digits: ``1.891MiB``."""
    value, unit = _scale(size, 1024, _BINARY)
    return f"{value:.4g}{_BINARY[unit]}"


def progress_size(size: int) -> str:
    """Return ``size`` bytes as BuildKit's progress shows them: whole bytes below 1000, else two decimals."""
    value, unit = _scale(size, 1000, _DECIMAL)
    return f"{value:.2f}{_DECIMAL[unit]}" if unit else f"{size}B"


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` means; letters are binary multiples, so ``64m`` is 67,108,864.

    The grammar is ``NUMBER [" "] [LETTER ["b" | "ib"]]``; case does not matter, fractions do.
    Raises: InvalidUnit, with docker's words.
    """
    match = _SIZE.fullmatch(text)
    if match is None or match["number"] is None:
        raise InvalidUnit(f"invalid size: '{text}'")
    number, suffix = match["number"], match["suffix"].lower()
    if not _NUMBER.fullmatch(number):
        raise InvalidUnit(f'strconv.ParseFloat: parsing "{number}": invalid syntax')
    if number.startswith("-"):
        raise InvalidUnit(f"invalid size: '{text}'")
    power = _MULTIPLES.get(suffix[:1])
    if power is None or suffix[1:] not in ("", "b", "ib") or (suffix[:1] in ("", "b") and suffix[1:]):
        raise InvalidUnit(f"invalid suffix: '{suffix}'")
    try:
        return int(float(number) * 1024**power)
    except OverflowError:
        raise InvalidUnit(f'strconv.ParseFloat: parsing "{number}": value out of range') from None


def human_duration(seconds: float) -> str:
    """Return an approximate age in words: ``About an hour``; negative ages read like zero."""
    whole = int(seconds)
    minutes = whole // MINUTE
    hours = int(seconds / HOUR + 0.5)
    if seconds < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < MINUTE:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    return "About an hour" if hours == 1 else _long_duration(hours, whole // HOUR)


def _long_duration(hours: int, full_hours: int) -> str:
    """Return an age of two hours or more; ``hours`` is rounded, ``full_hours`` is not."""
    days = hours // 24
    if hours < 48:
        return f"{hours} hours"
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{full_hours // 24 // 365} years"


def ago(then: datetime, now: datetime) -> str:
    """Return how long before ``now`` the moment ``then`` was: ``8 seconds ago``."""
    return f"{human_duration((now - then).total_seconds())} ago"


def percent(part: int, whole: int) -> int:
    """Return ``part`` of ``whole`` in percent, rounded down so that only all of it is 100; 0 of nothing."""
    return part * 100 // whole if whole else 0
