r"""Wildcards of file names, one path component or pattern at a time.

Grammar: ``*`` any characters but ``/``, ``?`` one of them, ``[abc]`` ``[a-z]`` ``[^a-z]`` one character, ``\c`` the
character itself. In a class ``-`` and ``]`` must be escaped. Source: Go, path/filepath.Match.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from minidock.errors import PatternError

STAR = "[^/]*"


def has_wildcard(pattern: str) -> bool:
    """Tell whether a pattern holds a wildcard that is not escaped."""
    position = 0
    while position < len(pattern):
        if pattern[position] in "*?[":
            return True
        position += 2 if pattern[position] == "\\" else 1
    return False


def match(pattern: str, name: str) -> bool:
    """Tell whether all of ``name`` matches the pattern. Raises: PatternError."""
    return compile_glob(pattern).fullmatch(name) is not None


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return the regular expression that matches, as a whole, what the pattern matches. Raises: PatternError."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "*":
            part, position = STAR, position + 1
        elif character == "?":
            part, position = "[^/]", position + 1
        elif character == "[":
            part, position = class_to_regex(pattern, position)
        else:
            literal, position = _character(pattern, position, is_in_class=False)
            part = re.escape(literal)
        parts.append(part)
    return re.compile(joined(parts), re.DOTALL)


def joined(parts: Sequence[str]) -> str:
    """Return the regular expression of parts: each is `STAR` or matches one character.

    What follows a star is best found as early as can be, which leaves most to the next star; so the regular expression
    need not come back to it: with several stars that costs time without bound. It holds only if nothing but a slash
    matches a slash.
    """
    runs: list[list[str]] = [[]]
    for part in parts:
        if part == STAR:
            runs.append([])
        else:
            runs[-1].append(part)
    if any(part != "/" and part.startswith(("[", ".", "\\")) and re.fullmatch(part, "/") for part in parts):
        return "".join(parts)
    first, *others = ("".join(run) for run in runs)
    middle = "".join(f"(?>[^/]*?{run})" for run in others[:-1] if run)
    return first + middle + (f"{STAR}{others[-1]}" if others else "")


def class_to_regex(pattern: str, position: int, *, allows_reversed: bool = True) -> tuple[str, int]:
    """Return the regular expression of the class that starts at ``position``, and where it ends.

    A range whose ends are in the wrong order holds nothing, or is an error too. Raises: PatternError.
    """
    position += 1
    is_negated = pattern.startswith("^", position)
    position += is_negated
    ranges: list[str] = []
    while not ranges or not pattern.startswith("]", position):
        low, position = _character(pattern, position, is_in_class=True)
        high = low
        if pattern.startswith("-", position):
            high, position = _character(pattern, position + 1, is_in_class=True)
        if position >= len(pattern) or (low > high and not allows_reversed):
            raise syntax_error(pattern)
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    members = "".join(ranges)
    if not members:
        return ("." if is_negated else "(?!)"), position + 1
    return f"[{'^' if is_negated else ''}{members}]", position + 1


def syntax_error(pattern: str) -> PatternError:
    """Return (not raise) the error of a malformed pattern, in Go's words."""
    return PatternError("syntax error in pattern", pattern)


def _character(pattern: str, position: int, *, is_in_class: bool) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if not character or (is_in_class and character in "-]"):
        raise syntax_error(pattern)
    if character == "\\":
        position += 1
        character = pattern[position : position + 1]
        if not character:
            raise syntax_error(pattern)
    return character, position + 1
