"""Sizes as bars on a terminal; where output is piped there are none."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.render.console import Console

CELLS = 24
SOLID, DARK, LIGHT = "█", "▓", "░"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def are_shown(console: Console) -> bool:
    """Whether results go to a terminal that can show such characters."""
    encoding = (getattr(console.out, "encoding", None) or "").lower().replace("-", "")
    return console.out.isatty() and encoding == "utf8"


def bar(parts: Sequence[tuple[int, str]], most: int, cells: int = CELLS) -> str:
    """Return a bar of ``parts`` (size, character), of which ``most`` would fill ``cells``; not padded.

    Ends of parts are rounded, so that their sum is as long as one part of that size. What is not nothing shows.
    """
    if most <= 0:
        return ""
    text, size = "", 0
    for part, character in parts:
        size += part
        text += character * (round(size * cells / most) - len(text))
    if not text and size:
        return _EIGHTHS[max(1, min(7, size * cells * 8 // most))]
    return text
