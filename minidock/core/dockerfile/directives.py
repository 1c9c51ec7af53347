"""Parser directives: the ``# name=value`` comments that may open a Dockerfile."""

from __future__ import annotations

import json
import re

from minidock.core.dataclass import dataclass

BOM = "\ufeff"
DEFAULT_ESCAPE = "\\"

_KNOWN = frozenset({"syntax", "escape", "check"})
_ASSIGNMENT = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive: its lower-cased name, its whole value and its 1-based line."""

    name: str
    value: str
    line: int

    @property
    def word(self) -> str:
        """The value up to the first blank, which is all that counts of ``syntax``."""
        return self.value.partition(" ")[0]


def match_directive(line: str, number: int, marker: str = "#") -> Directive | None:
    """Return the directive on a line that has been trimmed on the left, ``None`` if it holds none that is known."""
    if not line.startswith(marker):
        return None
    assignment = _ASSIGNMENT.fullmatch(line[len(marker) :].lstrip())
    if assignment is None or assignment[1].lower() not in _KNOWN:
        return None
    return Directive(assignment[1].lower(), assignment[2], number)


def find_syntax(text: str) -> Directive | None:
    """Return the ``syntax`` directive, which may also be a ``//`` comment or a member of a JSON object."""
    found = _find("syntax", text, "#") or _find("syntax", text, "//")
    if found is not None:
        return found
    body, skipped = _without_shebang(text)
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None
    value = members.get("syntax") if isinstance(members, dict) else None
    return Directive("syntax", value, 1 + skipped) if isinstance(value, str) else None


def find_check(text: str) -> Directive | None:
    """Return the ``check`` directive, which only a ``#`` comment can hold."""
    return _find("check", text, "#")


def _find(name: str, text: str, marker: str) -> Directive | None:
    body, skipped = _without_shebang(text)
    seen: set[str] = set()
    for number, line in enumerate(body.split("\n"), 1 + skipped):
        directive = match_directive(line.rstrip("\r"), number, marker)
        if directive is None or directive.name in seen:
            return None
        if directive.name == name:
            return directive
        seen.add(directive.name)
    return None


def _without_shebang(text: str) -> tuple[str, int]:
    text = text.removeprefix(BOM)
    if text.startswith("#!"):
        return text.partition("\n")[2], 1
    return text, 0
