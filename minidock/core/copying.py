"""COPY and ADD, decided: which entries the layer of an instruction gets.

Works on merged trees alone: the source is a build context's, a stage's or an image's, the destination that of the
stage being built. Source: BuildKit, solver/llbsolver/file/backend.go and tonistiigi/fsutil, copy/copy.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
    Tree,
    ancestors,
    join,
    parent_of,
    resolve,
)
from minidock.core.file_mode import ModeChange
from minidock.core.selecting import Selected
from minidock.errors import BuildError


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One source of ADD that is an archive: its members are copied instead of itself."""

    members: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the flags of the instruction say: owner and mode of everything copied, None where the source's count.

    ``created_at`` (seconds) is given to directories that the instruction makes; ``latest`` is the newest time that a
    copied file may have (SOURCE_DATE_EPOCH), None for any. Files of the sources ``dated``, by position, get that very
    time: theirs tells of the moment in which somebody made a checkout.
    """

    owner: tuple[int, int] | None = None
    mode: ModeChange | None = None
    created_at: int = 0
    latest: int | None = None
    dated: frozenset[int] = frozenset()


class Planned(NamedTuple):
    """One entry of the new layer.

    ``source`` is the path in the source's tree (or archive) of what is copied, None of a directory that is made or
    there already; ``origin`` the position of that source among those that were given.
    """

    entry: Entry
    source: str | None
    origin: int = 0


def plan(
    sources: Sequence[Selected | Unpacked],
    destination: str,
    workdir: str,
    tree: Tree | None,
    attributes: Attributes,
) -> tuple[Planned, ...]:
    """Return the entries of the layer, sorted by path, a parent directory of each included.

    ``tree`` is what the stage holds so far; None for --link, whose layer depends on nothing below and so says nothing
    of the root. Raises: BuildError where a file and a directory collide.
    """
    copier = _Copier(tree or Tree(), attributes)
    # As BuildKit: `..` takes back the name before it, also where that is a link.
    target = posixpath.normpath(destination if destination.startswith("/") else f"{workdir}/{destination}")
    wants_directory = destination in ("", ".") or destination.endswith(("/", "/."))
    for origin, source in enumerate(sources):
        copier.begin(origin)
        if isinstance(source, Unpacked):
            copier.archive(source, target)
        elif source.entry.kind == DIRECTORY:
            copier.directory(source, target)
        else:
            copier.file(source, target, wants_directory=wants_directory)
    planned = copier.finish()
    return planned if tree is not None else planned[1:]


def make_directory(path: str, tree: Tree, attributes: Attributes) -> tuple[Planned, ...]:
    """Return the entries of the layer that makes the directory ``path`` with all its parents (WORKDIR)."""
    copier = _Copier(tree, attributes)
    copier.make_directory(tree.resolve(path))
    return copier.finish()


class _Copier:
    """Collects the entries of one instruction; later sources see what earlier ones put there."""

    def __init__(self, tree: Tree, attributes: Attributes) -> None:
        self._tree = tree
        self._attributes = attributes
        self._planned: dict[str, Planned] = {}
        self._origin = 0
        # planned path -> the source, and the path in it, that its inode is known by
        self._groups: dict[str, tuple[int, str]] = {}

    def begin(self, origin: int) -> None:
        """Begin with the next source: hard links are kept within one, not between them."""
        self._origin = origin

    def _current(self, path: str) -> Entry | None:
        planned = self._planned.get(path)
        return planned.entry if planned is not None else self._tree.get(path)

    def _resolve(self, path: str, *, follow_last: bool = True) -> str:
        return resolve(self._current, path, follow_last=follow_last)

    def make_directory(self, path: str, *, is_for_archive: bool = False) -> bool:
        """Make ``path`` and its parents where they are missing; tell whether ``path`` was."""
        is_new = False
        for directory in (*ancestors(path), path):
            current = self._current(directory)
            is_new = current is None
            if current is None:
                mode = self._attributes.mode if not is_for_archive else None
                self._planned[directory] = Planned(self._new_directory(directory, mode), None)
            elif current.kind != DIRECTORY:
                raise BuildError(f"cannot copy to non-directory: /{directory}")
        return is_new

    def _make_implied(self, path: str) -> None:
        """Make the directories that an archive has no entry for: they are root's whatever the flags say."""
        for directory in (*ancestors(path), path):
            if self._current(directory) is None:
                entry = Entry(directory, DIRECTORY, 0o755, mtime=self._attributes.created_at)
                self._planned[directory] = Planned(entry, None)
        self.make_directory(path)

    def _new_directory(self, path: str, mode: ModeChange | None) -> Entry:
        owner = self._attributes.owner or (0, 0)
        bits = 0o755 if mode is None else mode.of_parents
        return Entry(path, DIRECTORY, bits, owner[0], owner[1], mtime=self._attributes.created_at)

    def _adjusted(self, entry: Entry, path: str, *, keeps_mode: bool = False) -> Entry:
        owner = self._attributes.owner or (entry.uid, entry.gid)
        mode = entry.mode
        if self._attributes.mode is not None and entry.kind != SYMLINK and not keeps_mode:
            mode = self._attributes.mode.apply(mode, is_directory=entry.kind == DIRECTORY)
        return entry._replace(path=path, mode=mode, uid=owner[0], gid=owner[1], mtime=self._time(entry))

    def _time(self, entry: Entry) -> int:
        latest = self._attributes.latest
        if latest is None:
            return entry.mtime
        return latest if self._origin in self._attributes.dated else min(entry.mtime, latest)

    def directory(self, source: Selected, destination: str) -> None:
        """Merge what a directory holds into ``destination``."""
        target = self._resolve(destination)
        if self.make_directory(target):
            made = self._planned[target].entry
            self._planned[target] = self._from(source, made._replace(mtime=self._time(source.entry)))
        for member in source.members:
            place = join(target, member.path)
            if member.kind != DIRECTORY:
                self._put(member, place, join(source.entry.path, member.path))
            elif member.path in source.passed:
                self._pass(source, member, place)
            else:
                self.make_directory(place)
                self._planned[place] = self._from(source, self._adjusted(member, place), member.path)

    def _from(self, source: Selected, entry: Entry, path: str = "") -> Planned:
        return Planned(entry, join(source.entry.path, path) if path else source.entry.path, self._origin)

    def _pass(self, source: Selected, member: Entry, place: str) -> None:
        """Make a directory that is copied for what it holds only: of one that is there it changes the mode."""
        current = self._current(place)
        if self.make_directory(place) or current is None:
            entry = self._adjusted(member, place)
        else:
            entry = current._replace(mode=member.mode)
        self._planned[place] = self._from(source, entry, member.path)

    def archive(self, source: Unpacked, destination: str) -> None:
        """Unpack an archive: links of the image are followed inside the root, what is in the way is replaced."""
        root = self._resolve(destination)
        self.make_directory(root, is_for_archive=True)
        for member, content in _without_hard_links(source.members):
            place = self._resolve(join(root, member.path), follow_last=False)
            current = self._current(place)
            if current is not None and (member.kind == DIRECTORY) != (current.kind == DIRECTORY):
                self._forget_below(place)
            self._make_implied(self._resolve(parent_of(place)))
            if member.kind == DIRECTORY:
                adjusted = self._adjusted(member, place, keeps_mode=True)
                self._planned[place] = Planned(adjusted, content, self._origin)
            else:
                self._plan(member, place, content, keeps_mode=True)

    def _forget_below(self, path: str) -> None:
        for planned in [planned for planned in self._planned if planned.startswith(f"{path}/")]:
            del self._planned[planned]

    def file(self, source: Selected, destination: str, *, wants_directory: bool) -> None:
        """Copy a single file to ``destination``, or into it if that is a directory."""
        target = self._resolve(destination)
        current = self._current(target)
        if wants_directory or (current is not None and current.kind == DIRECTORY):
            self.make_directory(target)
            target = join(target, source.name)
        self._put(source.entry, target, source.entry.path)

    def _put(self, entry: Entry, target: str, source: str) -> None:
        current = self._current(target)
        if current is not None and current.kind == DIRECTORY:
            raise BuildError(f"cannot replace to directory /{target} with file")
        self.make_directory(parent_of(target))
        self._plan(entry, target, source)

    def _plan(self, entry: Entry, target: str, source: str, *, keeps_mode: bool = False) -> None:
        adjusted = self._adjusted(entry, target, keeps_mode=keeps_mode)
        if entry.kind != FILE:
            self._planned[target] = Planned(adjusted, source, self._origin)
            return
        self._groups[target] = (self._origin, inode_of(entry, source))
        self._planned[target] = Planned(adjusted._replace(linkname=""), source, self._origin)

    def finish(self) -> tuple[Planned, ...]:
        """Return what was collected, with the parents that the stage has already, hard links told apart."""
        for path in list(self._planned):
            for directory in ancestors(path):
                if directory not in self._planned:
                    known = self._tree.get(directory)
                    self._planned[directory] = Planned(known or Entry(directory, DIRECTORY, 0o755), None)
        self._planned.setdefault("", Planned(self._tree.get("") or Entry("", DIRECTORY, 0o755), None))
        first: dict[tuple[int, str], str] = {}
        result = []
        for path in sorted(self._planned):
            planned = self._planned[path]
            earlier = first.setdefault(self._groups[path], path) if planned.entry.kind == FILE else path
            if earlier != path:
                entry = planned.entry._replace(
                    kind=HARDLINK, size=0, linkname=earlier, sha256="", xxh3="", offset=0, parts=()
                )
                planned = planned._replace(entry=entry)
            result.append(planned)
        return tuple(result)


def inode_of(entry: Entry, path: str) -> str:
    """Return a text that names of one inode have in common, within one tree, and no others.

    The path that links refer to may meanwhile be another file; the content tells them apart.
    """
    return f"{entry.linkname or path} {entry.offset} {entry.xxh3}"


def _without_hard_links(members: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Yield the members of an archive and the paths of their contents in it; a hard link as the file that it names."""
    known: dict[str, tuple[Entry, str]] = {}
    for member in members:
        if not member.path:
            continue
        content = member.path
        if member.kind == HARDLINK:
            if member.linkname not in known:
                raise BuildError(f"the archive has a hard link {member.path} to {member.linkname}, which is not there")
            target, content = known[member.linkname]
            member = target._replace(path=member.path, linkname=content if target.kind == FILE else target.linkname)
        if member.kind != DIRECTORY:
            known[member.path] = (member, content)
        yield member, content
