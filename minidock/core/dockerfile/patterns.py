"""The shell patterns of ``${name#pattern}``, ``${name%pattern}`` and ``${name/pattern/text}``."""

from __future__ import annotations

import re

_SPECIAL = frozenset("[]{}.+()|^$")


class BadPattern(ValueError):
    """A pattern with an escape that means nothing; `words` turns it into an error with the whole word."""


def pattern_to_regex(pattern: str, *, is_greedy: bool, is_anchored: bool) -> str:
    r"""Return the regular expression of a shell pattern.

    ``?`` is one character, ``*`` any number of them; ``\`` escapes these two and itself. A backslash before ``}`` or
    ``/`` belongs to the ``${}`` around the pattern and vanishes. Raises: BadPattern on any other escape.
    """
    parts = ["^"] if is_anchored else []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            parts.append(".*" if is_greedy else ".*?")
        elif character == "?":
            parts.append(".")
        elif character == "\\":
            following = pattern[position : position + 1]
            if following in ("}", "/") and following:
                continue
            if following not in ("*", "?", "\\") or not following:
                raise BadPattern(f"invalid escape '\\{following}'")
            parts.append("\\" + following)
            position += 1
        else:
            parts.append("\\" + character if character in _SPECIAL else character)
    return "".join(parts)


def trim_prefix(pattern: str, value: str, *, is_longest: bool) -> str:
    """Return ``value`` without its shortest or longest prefix that matches ``pattern``. Raises: BadPattern."""
    regex = re.compile(pattern_to_regex(pattern, is_greedy=True, is_anchored=False))
    lengths = range(len(value), -1, -1) if is_longest else range(len(value) + 1)
    for length in lengths:
        if regex.fullmatch(value, 0, length):
            return value[length:]
    return value


def trim_suffix(pattern: str, value: str, *, is_longest: bool) -> str:
    """Return ``value`` without its shortest or longest suffix that matches ``pattern``. Raises: BadPattern."""
    regex = re.compile(pattern_to_regex(pattern, is_greedy=True, is_anchored=False))
    starts = range(len(value) + 1) if is_longest else range(len(value), -1, -1)
    for start in starts:
        if regex.fullmatch(value, start):
            return value[:start]
    return value


def replace(pattern: str, value: str, text: str, *, replaces_all: bool) -> str:
    """Return ``value`` with the first match or all matches of ``pattern`` replaced by ``text``. Raises: BadPattern."""
    regex = re.compile(pattern_to_regex(pattern, is_greedy=True, is_anchored=False))
    parts: list[str] = []
    end = 0
    is_first = True
    for match in regex.finditer(value):
        # An empty match right behind another match is not a match for BuildKit: `*` replaces once, not twice.
        if not is_first and match.start() == match.end() == end:
            continue
        parts += [value[end : match.start()], text]
        end = match.end()
        is_first = False
        if not replaces_all:
            break
    return "".join(parts) + value[end:]
