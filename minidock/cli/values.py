"""Reads the values of options that are not text, and complains in Go's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from minidock.core.durations import parse_duration
from minidock.core.quoting import quoted
from minidock.core.truth import FALSE, TRUE
from minidock.errors import FlagError

_INTEGER = re.compile(r"[+-]?(0x[0-9a-f]+|0o?[0-7]+|0b[01]+|0|[1-9][0-9]*)", re.IGNORECASE)
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_OLD_OCTAL = re.compile(r"[+-]?0[0-7]+")


_Value = TypeVar("_Value")


def parse_bool(text: str) -> bool:
    """Return the truth of ``--switch=TEXT``. Raises: FlagError."""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise FlagError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")


def parse_int(text: str) -> int:
    """Return the whole number of ``text``, in any base that Go reads. Raises: FlagError."""
    if not _INTEGER.fullmatch(text):
        raise FlagError(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    value = int(text, 8 if _OLD_OCTAL.fullmatch(text) else 0)
    if not -(2**63) <= value < 2**63:
        raise FlagError(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    return value


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads whole numbers and refuses those below ``least``."""

    def parse(text: str) -> int:
        value = parse_int(text)
        if value < least:
            raise FlagError(f"must be at least {least}")
        return value

    return parse


def parse_float(text: str) -> float:
    """Return the number of ``text``. Raises: FlagError."""
    if not _FLOAT.fullmatch(text):
        raise FlagError(f"strconv.ParseFloat: parsing {quoted(text)}: invalid syntax")
    return float(text)


def parse_label(text: str) -> str:
    """Return the value of ``--label``, ``NAME=value`` or ``NAME``. Raises: FlagError."""
    if not text.partition("=")[0]:
        raise FlagError(f"invalid label '{text}': empty name")
    return text


def parse_variable(text: str) -> str:
    """Return the value of ``--env``, ``NAME=value`` or ``NAME``. Raises: FlagError."""
    if not text.partition("=")[0]:
        raise FlagError(f"invalid environment variable: {text}")
    return text


def parse_duration_flag(text: str) -> int:
    """Return the nanoseconds of ``text`` (``1m30s``). Raises: ValueError in Go's words."""
    return parse_duration(text)


def unless_empty(parse: Callable[[str], _Value]) -> Callable[[str], _Value | None]:
    """Return what reads as ``parse`` does, and None of an empty text: ``--secret "$X"`` may stand for no secret."""
    return lambda text: parse(text) if text else None


def parse_choice(text: str, choices: Iterable[str]) -> str:
    """Return ``text`` if it is one of ``choices``. Raises: FlagError, which names them."""
    known = tuple(choices)
    if text not in known:
        raise FlagError(f"must be one of {', '.join(map(quoted, known))}")
    return text
