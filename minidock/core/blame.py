"""What the layers of an image did to one path, one after the other, and where a COPY --from took it from."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from minidock.core.copying import Attributes, plan
from minidock.core.entries import DIRECTORY, FILE, HARDLINK, OPAQUE, WHITEOUT, Entry, Tree, ancestors
from minidock.core.image_steps import ImageStep
from minidock.core.selecting import Selection, exclusion
from minidock.core.step_lines import CopiedFrom
from minidock.core.stored_files import LayerBytes
from minidock.core.tree_changes import CONTENT, Difference, differences
from minidock.errors import BuildError, PatternError


class Deed(StrEnum):
    """What a layer did."""

    ADDED = "added"
    CONTENT = "content"  # the file has other content now, and perhaps other attributes
    ATTRIBUTES = "attributes"  # the same content with another mode, owner, …: it is stored again
    TYPE = "type"  # something of another type stands there now
    STORED_AGAIN = "stored again"  # nothing but the time changed
    DELETED = "deleted"
    EMPTIED = "emptied"  # a directory above it, or it itself, is opaque
    REPLACED = "replaced"  # a directory above it is none any more


class Touch(NamedTuple):
    """What one layer (position, base 0) did to the path.

    ``entry`` is what it put there, a hard link as the file that it leads to; None if it took the path away. ``cause``
    is the path by which it took it away, or emptied it: the same, or a directory above it. ``link`` is the other name
    of a hard link.
    """

    layer: int
    deed: Deed
    entry: Entry | None = None
    differences: tuple[Difference, ...] = ()
    cause: str = ""
    link: str = ""


class StepShare(NamedTuple):
    """How many files a step stored below a directory, and what became of their bytes."""

    step: ImageStep
    file_count: int
    sums: LayerBytes


class Trail(NamedTuple):
    """Where a COPY --from took a path from: ``path`` in a stage or image, and what the steps did there.

    ``path`` is None if the files of that are not in the store any more. ``shares`` are those of a directory.
    """

    copied: CopiedFrom
    path: str | None
    touches: tuple[StepTouch, ...] = ()
    shares: tuple[StepShare, ...] = ()


class StepTouch(NamedTuple):
    """What a step did to a path; a ``trail`` tells how it came to be where the step took it from."""

    step: ImageStep
    touch: Touch
    trail: Trail | None = None


def normal_path(text: str) -> str:
    """Return the path that a user means, as entries have it."""
    return posixpath.normpath(f"/{text}").lstrip("/")


def source_of(copied: CopiedFrom, path: str, source: Tree, below: Tree) -> str | None:
    """Return the path in ``source`` that a COPY put at ``path``, None if it was made by the COPY itself.

    ``below`` is what the image held before it.
    """
    try:
        selection = Selection(copied.keeps_parents, exclusion(copied.excludes))
        chosen = [item for pattern in copied.sources for item in selection.of(source, pattern)]
        planned = plan(chosen, copied.destination, "/", None if copied.is_linked else below, Attributes())
    except (BuildError, PatternError):
        return None  # the COPY went well: another program has written this
    return next((item.source for item in planned if item.entry.path == path), None)


def touches(layers: Iterable[Sequence[Entry]], path: str) -> tuple[Touch, ...]:
    """Return what the layers did to ``path``, base first; nothing if it was never there.

    Directories stand in a layer whenever something in them changes: that alone is no touch.
    """
    above = frozenset(ancestors(path))
    found: list[Touch] = []
    now: Entry | None = None
    for position, layer in enumerate(layers):
        own = _own(layer, path, now)
        hiding = _hiding(position, layer, path, above) if now is not None and own is None else None
        if hiding is not None:
            found.append(hiding)
            now = None
        if own is None:
            continue
        link = own.linkname if own.kind == HARDLINK else ""
        own = _content_of(layer, own)
        if now is not None and any(entry.kind == OPAQUE and entry.path == path for entry in layer):
            touch: Touch | None = Touch(position, Deed.EMPTIED, own, differences(now, own), path)
        else:
            touch = _touch(position, now, own, link)
        if touch is not None:
            found.append(touch)
        now = own
    return tuple(found)


def _own(layer: Sequence[Entry], path: str, now: Entry | None) -> Entry | None:
    """Return what a layer puts at the path; a directory too that it only needs for what is in it."""
    own = next((entry for entry in layer if entry.path == path and not entry.is_deletion), None)
    if own is not None or (now is not None and now.kind == DIRECTORY):
        return own
    below = f"{path}/" if path else ""
    if any(entry.path.startswith(below) and entry.path and not entry.is_deletion for entry in layer):
        return Entry(path, DIRECTORY, 0o755)
    return None


def _content_of(layer: Sequence[Entry], entry: Entry) -> Entry:
    """Return the entry itself, or of a hard link the file that it leads to, under its own path."""
    if entry.kind != HARDLINK:
        return entry
    target = next((other for other in layer if other.path == entry.linkname and not other.is_deletion), entry)
    return target._replace(path=entry.path)


def _hiding(position: int, layer: Sequence[Entry], path: str, above: frozenset[str]) -> Touch | None:
    """Return how a layer takes the path away that it does not put there anew; the nearest cause is the one told."""
    nearest: Touch | None = None
    for entry in layer:
        if entry.kind == WHITEOUT and (entry.path == path or entry.path in above):
            deed = Deed.DELETED
        elif entry.kind == OPAQUE and entry.path in above:
            deed = Deed.EMPTIED
        elif entry.kind not in (WHITEOUT, OPAQUE, DIRECTORY) and entry.path in above:
            deed = Deed.REPLACED
        else:
            continue
        if nearest is None or len(entry.path) > len(nearest.cause):
            nearest = Touch(position, deed, cause=entry.path)
    return nearest


def _touch(position: int, before: Entry | None, now: Entry, link: str) -> Touch | None:
    if before is None:
        return Touch(position, Deed.ADDED, now, link=link)
    found = differences(before, now)
    names = {difference.name for difference in found}
    if "type" in names:
        return Touch(position, Deed.TYPE, now, found, link=link)
    if names & {CONTENT, "target", "device"}:
        return Touch(position, Deed.CONTENT, now, found, link=link)
    if found:
        return Touch(position, Deed.ATTRIBUTES, now, found, link=link)
    return None if now.kind != FILE else Touch(position, Deed.STORED_AGAIN, now, link=link)
