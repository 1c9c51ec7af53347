"""What a container changed in the files of its image, and what that takes: pure, from the entries of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minidock.core.dataclass import dataclass
from minidock.core.entries import DIRECTORY, FILE, HARDLINK, OPAQUE, WHITEOUT, Entry, Tree, ancestors

ADDED, CHANGED, DELETED = "A", "C", "D"
KEPT = "="  # copied up, and then left or made as it was


@dataclass(frozen=True, slots=True)
class Change:
    """One path (absolute) that was added, changed or deleted; ``before`` is what the image has there.

    ``image_size`` are the content bytes that the image has at the path and, if it is deleted, below it.
    ``copied_size`` are those of the container's own bytes that are as in the image: what copying up has cost.
    """

    kind: str
    path: str
    before: Entry | None = None
    after: Entry | None = None
    image_size: int = 0
    copied_size: int = 0

    @property
    def size(self) -> int:
        """The content bytes that the container holds for it."""
        return self.after.size if self.after is not None and self.after.kind == FILE else 0

    @property
    def type(self) -> str:
        """What is, or was, at the path."""
        entry = self.after or self.before
        assert entry is not None
        return entry.kind


@dataclass(frozen=True, slots=True)
class ContainerSizes:
    """Every change of a container, and the sums: ``hidden_size`` are the image's bytes that it does not see any more.

    ``whole_copy_size`` are the content bytes of a root file system that had to be copied whole, 0 on an overlay.
    """

    changes: tuple[Change, ...]
    hidden_size: int = 0
    whole_copy_size: int = 0

    @property
    def size(self) -> int:
        """The content bytes that the container holds: its SIZE in `ps -s`."""
        return sum(change.size for change in self.changes)

    @property
    def copied(self) -> tuple[Change, ...]:
        """The files that have content of the image."""
        return tuple(change for change in self.changes if change.copied_size)

    @property
    def copied_size(self) -> int:
        """The bytes of these that are as in the image."""
        return sum(change.copied_size for change in self.changes)


def changes_of(lower: Tree, written: Iterable[Entry]) -> tuple[Change, ...]:
    """Return what ``written`` (a layer's entries on top of ``lower``) changes, by path.

    What went with a deleted directory has no change of its own.
    """
    entries = _without_links(lower, written)
    deleted = {entry.path for entry in entries.values() if entry.kind == WHITEOUT}
    for entry in entries.values():
        if entry.kind == OPAQUE:
            deleted |= {below.path for below in lower.below(entry.path) if below.path not in entries}
    found = []
    for path in sorted(path for path in entries.keys() | deleted if path):
        before = lower.get(path)
        if path in deleted:
            if deleted.isdisjoint(ancestors(path)):
                found.append(Change(DELETED, f"/{path}", before, image_size=_size_at(lower, path)))
        elif entries[path].kind != OPAQUE:
            size = _size_at(lower, path) if before is not None and before.kind == FILE else 0
            found.append(Change(CHANGED if before else ADDED, f"/{path}", before, entries[path], size))
    return tuple(found)


def _without_links(lower: Tree, written: Iterable[Entry]) -> dict[str, Entry]:
    """Return entries by path, with hard links as the files that they are: the size stands at one of the names.

    That is the first that the image has too, so that the two contents can be compared, else the first of all.
    """
    entries = {entry.path: entry for entry in written}
    names: dict[str, list[str]] = {}
    for entry in entries.values():
        if entry.kind == HARDLINK and entry.linkname in entries:
            names.setdefault(entry.linkname, [entry.linkname]).append(entry.path)
    for first, paths in names.items():
        file = entries[first]
        holder = min(paths, key=lambda path: ((below := lower.get(path)) is None or below.kind != FILE, path))
        for path in paths:
            link, size = ("", file.size) if path == holder else (holder, 0)
            entries[path] = file._replace(path=path, linkname=link, size=size)
    return entries


def _size_at(lower: Tree, path: str) -> int:
    entry = lower.get(path)
    if entry is None:
        return 0
    entries = [entry] if entry.kind != DIRECTORY else lower.below(path)
    return sum({_identity(item): item.size for item in entries if item.kind == FILE}.values())


def _identity(entry: Entry) -> tuple[str, str, int]:
    """Return what all names of a file of a merged tree have in common."""
    return (entry.linkname or entry.path, entry.xxh3, entry.offset)


def hidden_size(lower: Tree, changes: Sequence[Change]) -> int:
    """Return the content bytes of the files of ``lower`` that have no name left under these changes."""
    covered = {change.path[1:] for change in changes if change.kind in (CHANGED, DELETED, KEPT)}
    replaced = {change.path[1:] for change in changes if change.kind == DELETED or change.type != DIRECTORY}
    sizes: dict[tuple[str, str, int], int] = {}
    seen: set[tuple[str, str, int]] = set()
    for entry in lower.entries():
        if entry.kind == FILE:
            sizes[_identity(entry)] = entry.size
            if entry.path not in covered and replaced.isdisjoint(ancestors(entry.path)):
                seen.add(_identity(entry))
    return sum(size for identity, size in sizes.items() if identity not in seen)
