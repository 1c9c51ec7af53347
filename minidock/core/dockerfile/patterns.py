"""The shell patterns of ``${name#pattern}``, ``${name%pattern}`` and ``${name/pattern/text}``."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPECIAL = frozenset("[]{}.+()|^$")
_STAR = "*"


class BadPattern(ValueError):
    """A pattern with an escape that means nothing; `words` turns it into an error with the whole word."""


def pattern_to_regex(pattern: str, *, is_greedy: bool, is_anchored: bool) -> str:
    r"""Return the regular expression of a shell pattern.

    ``?`` is one character, ``*`` any number of them; ``\`` escapes these two and itself. A backslash before ``}`` or
    ``/`` belongs to the ``${}`` around the pattern and vanishes. Raises: BadPattern on any other escape.
    """
    star = ".*" if is_greedy else ".*?"
    start = "^" if is_anchored else ""
    return start + "".join(star if atom == _STAR else atom for atom in _atoms(pattern))


def trim_prefix(pattern: str, value: str, *, is_longest: bool) -> str:
    """Return ``value`` without its shortest or longest prefix that matches ``pattern``. Raises: BadPattern."""
    found = _compiled(_atoms(pattern), is_longest=is_longest).match(value)
    return value if found is None else value[found.end() :]


def trim_suffix(pattern: str, value: str, *, is_longest: bool) -> str:
    """Return ``value`` without its shortest or longest suffix that matches ``pattern``. Raises: BadPattern."""
    # Every atom is one character: backwards a suffix is a prefix.
    found = _compiled(_atoms(pattern)[::-1], is_longest=is_longest).match(value[::-1])
    return value if found is None else value[: len(value) - found.end()]


def _atoms(pattern: str) -> list[str]:
    """Return the regular expressions of the characters of a pattern, and `_STAR` for its stars. Raises: BadPattern."""
    atoms: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            atoms.append(_STAR)
        elif character == "?":
            atoms.append(".")
        elif character == "\\":
            following = pattern[position : position + 1]
            if following in ("}", "/") and following:
                continue
            if following not in ("*", "?", "\\") or not following:
                raise BadPattern(f"invalid escape '\\{following}'")
            atoms.append("\\" + following)
            position += 1
        else:
            atoms.append("\\" + character if character in _SPECIAL else character)
    return atoms


def _compiled(atoms: Sequence[str], *, is_longest: bool) -> re.Pattern[str]:
    """Return what matches the shortest or longest text that a pattern matches, in time that grows with its length only.

    What follows a star is best found as early as can be: it leaves most to the next star. So the regular expression
    need not come back to it, which costs time without bound where there are several.
    """
    runs: list[list[str]] = [[]]
    for atom in atoms:
        if atom == _STAR:
            runs.append([])
        else:
            runs[-1].append(atom)
    first, *others = ("".join(run) for run in runs)
    middle = "".join(f"(?>.*?{run})" for run in others[:-1] if run)
    last = (".*" if is_longest else ".*?") + others[-1] if others else ""
    return re.compile(first + middle + last)


def replace(pattern: str, value: str, text: str, *, replaces_all: bool) -> str:
    """Return ``value`` with the first match or all matches of ``pattern`` replaced by ``text``. Raises: BadPattern."""
    regex = _compiled(_atoms(pattern), is_longest=True)
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
