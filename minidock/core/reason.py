"""One reason why a step is rebuilt, and the words that reasons are put in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minidock.core.secret_words import starred

_MOST_NAMED = 3
_WIDTH = 40
_SHOWN_BEFORE = 12  # characters of a value before the first that differs


class Reason(NamedTuple):
    """Why a step has another key: one line, and what does not fit into it, such as every changed file."""

    text: str
    details: tuple[str, ...] = ()


def some_of(names: Sequence[str]) -> str:
    """Return the first few of what is to be named, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def quoted(text: str) -> str:
    """Return a value as reasons show it: short, and without what is secret in it."""
    return repr(clipped(starred(text), _WIDTH)) if text else "none"


def change_of(before: str, now: str) -> str:
    """Return how a value has changed; of long ones that begin alike only what is about the difference."""
    before, now = starred(before), starred(now)
    if before == now:
        return "a secret value"
    alike = next(
        (place for place, (old, new) in enumerate(zip(before, now, strict=False)) if old != new),
        min(len(before), len(now)),
    )
    start = alike - _SHOWN_BEFORE
    if start > 0 and before and now and max(len(before), len(now)) > _WIDTH:
        before, now = f"…{before[start:]}", f"…{now[start:]}"
    return f"{quoted(before)} -> {quoted(now)}"


def clipped(text: str, width: int) -> str:
    """Return a text in one line of at most ``width`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
