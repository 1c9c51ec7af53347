"""Why a path is in a build context or not, and what a context holds: what `minidock context` shows."""

from __future__ import annotations

from typing import Any

from minidock.core.context_size import ContextSize, Part
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.ignore import IgnoreMatch


@dataclass(frozen=True, slots=True)
class ContextListing:
    """What a context holds: ``parts`` the largest first. ``ignore_file`` is empty if there is none."""

    context: str
    ignore_file: str
    size: ContextSize
    parts: tuple[Part, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document that is shown."""
        return {
            "context": self.context,
            "ignore_file": self.ignore_file,
            **self.size.to_json(),
            "parts": [part.to_json() for part in self.parts],
        }


@dataclass(frozen=True, slots=True)
class PathInContext:
    """One path and every ignore rule that says something of it, in order: the last one decides.

    ``holds_included``: a directory that is left out, but comes along for the sake of something below it.
    """

    path: str
    ignore_file: str
    exists: bool
    is_ignored: bool
    matches: tuple[IgnoreMatch, ...] = ()
    holds_included: bool = False

    @property
    def is_in(self) -> bool:
        """Whether a build sees it."""
        return self.exists and (not self.is_ignored or self.holds_included)

    def to_json(self) -> dict[str, Any]:
        """Return the document that is shown."""
        return {
            "path": self.path,
            "exists": self.exists,
            "in_context": self.is_in,
            "ignored": self.is_ignored,
            "holds_included": self.holds_included,
            "ignore_file": self.ignore_file,
            "matches": [
                {
                    "line": rule.line,
                    "pattern": rule.text,
                    "negated": rule.is_exception,
                    "matched": matched,
                    "decides": position == len(self.matches),
                }
                for position, (rule, matched) in enumerate(self.matches, 1)
            ],
        }
