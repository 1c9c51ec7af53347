"""What differs between two merged trees, or between two entries that stand at the same path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.entries import BLOCK, CHAR, DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, Tree

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
CONTENT = "content"


class Difference(NamedTuple):
    """An attribute that differs (``type``, `CONTENT`, ``target``, ``device``, ``mode`` …), and how, in words."""

    name: str
    text: str


class TreeChange(NamedTuple):
    """One path: `ADDED`, `CHANGED` or `REMOVED`; ``before`` and ``after`` are None where it is not there.

    Files that lie in a directory that was added or removed have changes of their own.
    """

    kind: str
    path: str
    before: Entry | None
    after: Entry | None
    differences: tuple[Difference, ...] = ()

    @property
    def growth(self) -> int:
        """The bytes of content that the path has more now."""
        return _size(self.after) - _size(self.before)


@dataclass(frozen=True, slots=True)
class TreeDiff:
    """The changes from one tree to another, by path; sizes are those of both trees, each inode once."""

    changes: tuple[TreeChange, ...]
    before_size: int
    after_size: int

    def of_kind(self, kind: str) -> tuple[TreeChange, ...]:
        """Return the changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)


def tree_diff(before: Tree, after: Tree, *, has_times: bool = False) -> TreeDiff:
    """Return what changed; times of files count with ``has_times`` only, those of directories never."""
    old, new = before.entries(), after.entries()
    changes = [TreeChange(REMOVED, entry.path, entry, None) for entry in old if entry.path not in after]
    for entry in new:
        was = before.get(entry.path)
        if was is entry:
            continue
        if was is None:
            changes.append(TreeChange(ADDED, entry.path, None, entry))
        elif found := differences(was, entry, has_times=has_times):
            changes.append(TreeChange(CHANGED, entry.path, was, entry, found))
    changes.sort(key=lambda change: change.path)
    return TreeDiff(tuple(changes), tree_size(old), tree_size(new))


def tree_size(entries: Iterable[Entry]) -> int:
    """Return the content bytes of the files among the entries of a merged tree, those with several names once."""
    # Names of one file have the same place in the same tar; where two layers agree in place and content, first names
    # tell them apart.
    firsts, links = [], {}
    for entry in entries:
        if entry.kind == FILE and not entry.linkname:
            firsts.append(entry)
        elif entry.kind in (FILE, HARDLINK):
            links[entry.linkname, entry.xxh3, entry.offset] = entry.size
    if links:
        for entry in firsts:
            links.pop((entry.path, entry.xxh3, entry.offset), None)
    return sum([entry.size for entry in firsts]) + sum(links.values())


def differences(before: Entry, after: Entry, *, has_times: bool = False) -> tuple[Difference, ...]:
    """Return what differs between two entries of a path; nothing else is told where it is of another type.

    Hard links must have been replaced by what they lead to.
    """
    if before.kind != after.kind:
        return (Difference("type", f"{before.kind}→{after.kind}"),)
    found = []
    if before.kind == FILE and (before.sha256, before.size) != (after.sha256, after.size):
        found.append(Difference(CONTENT, CONTENT))
    if before.kind == SYMLINK and before.linkname != after.linkname:
        found.append(Difference("target", f"target {before.linkname}→{after.linkname}"))
    if before.kind in (CHAR, BLOCK) and (before.major, before.minor) != (after.major, after.minor):
        found.append(Difference("device", f"device {before.major},{before.minor}→{after.major},{after.minor}"))
    if before.mode != after.mode:
        found.append(Difference("mode", f"mode {before.mode:o}→{after.mode:o}"))
    if (before.uid, before.gid) != (after.uid, after.gid):
        found.append(Difference("owner", f"owner {before.uid}:{before.gid}→{after.uid}:{after.gid}"))
    if before.xattrs != after.xattrs:
        names = sorted({name for name, _ in set(before.xattrs) ^ set(after.xattrs)})
        found.append(Difference("xattrs", f"extended attributes {', '.join(names)}"))
    if has_times and before.kind != DIRECTORY and before.mtime != after.mtime:
        found.append(Difference("time", f"time {after.mtime - before.mtime:+}s"))
    return tuple(found)


def _size(entry: Entry | None) -> int:
    return entry.size if entry is not None and entry.kind in (FILE, HARDLINK) else 0
