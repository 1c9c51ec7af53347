"""What BuildKit would be sent of a local context: what the sources of all instructions name, and what is above it.

A pattern that matches nothing copies nothing, but the directory that it begins with has to be there, and is not if
nothing in it is sent. Source: BuildKit, dockerfile2llb/convert.go (context paths); tonistiigi/fsutil, copy/copy.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from minidock.core.dockerfile.glob import has_wildcard, match
from minidock.core.dockerfile.model import Add, Copy, Run
from minidock.core.dockerfile.stage_plan import StagePlan
from minidock.core.selecting import clean

_EVERYTHING = "."
_OTHER_MOUNTS = ("type=cache", "type=tmpfs", "type=secret", "type=ssh", "from=")


def context_words(plan: StagePlan, wanted: Iterable[int]) -> tuple[str, ...]:
    """Return the sources, as written, that the stages ``wanted`` take from the build context."""
    found: list[str] = []
    for index in wanted:
        for item in plan.stages[index].instructions:
            if isinstance(item, Add) or (isinstance(item, Copy) and not item.from_):
                found += item.sources
            elif isinstance(item, Run) and any(_is_of_context(text) for text in item.mounts):
                found.append(_EVERYTHING)
    return tuple(found)


def _is_of_context(mount: str) -> bool:
    return not any(word.strip().lower().startswith(_OTHER_MOUNTS) for word in mount.split(","))


class Named(Protocol):
    """Tells what patterns match in a context."""

    def something(self, pattern: str) -> bool:
        """Tell whether there is anything."""
        ...

    def a_link(self, pattern: str) -> bool:
        """Tell whether a symbolic link is among it."""
        ...


def is_sent(directory: str, words: Iterable[str], named: Named) -> bool:
    """Tell whether ``directory`` is sent for the sake of one of the sources ``words``.

    What a variable stands for is taken to be what helps.
    """
    return any(_sends(directory, word, named) for word in words)


def _sends(directory: str, word: str, named: Named) -> bool:
    if "$" in word or "**" in word:
        return True
    parts = clean(word).split("/") if clean(word) else []
    names = directory.split("/")
    for end, (part, name) in enumerate(zip(parts, names, strict=False), 1):
        if not match(part, name):
            return False
        # For the sake of a link that a wildcard on the way matches, everything that it matches is sent.
        if has_wildcard(part) and named.a_link("/".join(parts[:end])):
            return True
    if len(parts) <= len(names) or named.something(word):
        return True
    ends = [end for end in range(len(names) + 1, len(parts)) if has_wildcard(parts[end - 1])]
    return any(named.a_link("/".join(parts[:end])) for end in ends)
