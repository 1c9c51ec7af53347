"""Reading of HEALTHCHECK."""

from __future__ import annotations

import re

from minidock.core.dockerfile.flags import Flags, Kind, read_flags
from minidock.core.dockerfile.model import Healthcheck
from minidock.core.dockerfile.parser import Node
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.durations import BadDuration, parse_duration
from minidock.core.quoting import quoted

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_SHORTEST = 1_000_000
_KNOWN = dict.fromkeys(("interval", "timeout", "start-period", "start-interval", "retries"), Kind.TEXT)


def read_healthcheck(node: Node) -> Healthcheck:
    """Return the check of a node that has arguments. Raises: InstructionError, InstructionFlagError."""
    kind, *args = node.args
    kind = kind.upper()
    flags = read_flags(node.flags, _KNOWN)
    if kind == "NONE":
        if args:
            raise InstructionError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(("NONE",))
    if kind != "CMD":
        raise InstructionError(f"Unknown type {quoted(kind)} in HEALTHCHECK (try CMD)")
    if not args:
        raise InstructionError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        ("CMD" if node.is_json else "CMD-SHELL", *args),
        interval=_duration(flags, "interval"),
        timeout=_duration(flags, "timeout"),
        start_period=_duration(flags, "start-period"),
        start_interval=_duration(flags, "start-interval"),
        retries=_retries(flags.text("retries")),
    )


def _duration(flags: Flags, name: str) -> int:
    text = flags.text(name)
    if not text:
        return 0
    try:
        duration = parse_duration(text)
    except BadDuration as error:
        raise InstructionError(str(error)) from error
    if duration and duration < _SHORTEST:
        raise InstructionError(f"Interval {quoted(name)} cannot be less than 1ms")
    return duration


def _retries(text: str) -> int:
    if not text:
        return 0
    if not _NUMBER.fullmatch(text):
        raise InstructionError(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    if int(text) < 0:
        raise InstructionError(f"--retries cannot be negative ({int(text)})")
    return int(text)
