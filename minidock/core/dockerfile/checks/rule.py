"""What a check is, and what it finds."""

from __future__ import annotations

import re
from typing import NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.parser import Node

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Rule:
    """A build check: its name and what it asks for. Experimental ones are run only when they are asked for.

    Those that are not ``is_skippable`` look at the file as a whole: a comment above an instruction does not skip them.
    """

    name: str
    description: str
    is_experimental: bool = False
    is_documented: bool = True
    is_skippable: bool = True

    @property
    def url(self) -> str:
        """Where docker's documentation explains it, empty if it does not."""
        if not self.is_documented:
            return ""
        return f"https://docs.docker.com/go/dockerfile/rule/{_HUMP.sub('-', self.name).lower()}/"


class Hit(NamedTuple):
    """A rule broken by the instruction of ``node``; ``line`` is where, if not where that starts.

    ``found_at`` is the instruction whose comments count, if not that one.
    """

    node: Node
    detail: str
    line: int = 0
    found_at: Node | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule broken at lines ``first`` to ``last`` of a Dockerfile."""

    rule: Rule
    detail: str
    first: int
    last: int

    @property
    def text(self) -> str:
        """The finding in one line, as docker words it."""
        return f"{self.rule.name}: {self.detail} (line {self.first})"
