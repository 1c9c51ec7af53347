"""What BuildKit would be sent of a local context: what the sources of all instructions name, and what is above it.

A pattern that matches nothing copies nothing, but the directory that it begins with has to be there, and is not if
nothing in it is sent. Source: BuildKit, dockerfile2llb/convert.go (context paths); tonistiigi/fsutil, copy/copy.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from minidock.core.dockerfile.glob import match
from minidock.core.dockerfile.model import Add, Copy, Run
from minidock.core.dockerfile.stages import StagePlan
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


def is_sent(directory: str, words: Iterable[str], names_something: Callable[[str], bool]) -> bool:
    """Tell whether ``directory`` is sent for the sake of one of the sources ``words``.

    ``names_something`` tells whether a source matches anything. What a variable stands for is taken to be what helps.
    """
    return any(_sends(directory, word, names_something) for word in words)


def _sends(directory: str, word: str, names_something: Callable[[str], bool]) -> bool:
    if "$" in word or "**" in word:
        return True
    parts = clean(word).split("/") if clean(word) else []
    names = directory.split("/")
    if not all(match(part, name) for part, name in zip(parts, names, strict=False)):
        return False
    return len(parts) <= len(names) or names_something(word)
