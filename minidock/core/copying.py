"""COPY and ADD, decided: which files an instruction takes, and which entries its layer gets.

Works on merged trees alone: the source is a build context's, a stage's or an image's, the destination that of the
stage being built. Source: BuildKit, solver/llbsolver/file/backend.go and tonistiigi/fsutil, copy/copy.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from minidock.core.dockerfile.glob import has_wildcard, match
from minidock.core.entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
    Tree,
    ancestors,
    join,
    name_of,
    parent_of,
    resolve,
)
from minidock.errors import BuildError


@dataclass(frozen=True, slots=True)
class Selected:
    """One source: ``name`` is what it is called at the destination, ``entry`` stands in the source's tree.

    For a directory ``members`` is everything below it, sorted, with paths relative to it.
    """

    name: str
    entry: Entry
    members: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One source of ADD that is an archive: its members are copied instead of itself."""

    members: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the options of the instruction say: owner and mode of everything copied, None where the source's count.

    ``created_at`` (seconds) is given to directories that the instruction makes; ``latest`` is the newest time that a
    copied file may have (SOURCE_DATE_EPOCH), None for any.
    """

    owner: tuple[int, int] | None = None
    mode: int | None = None
    created_at: int = 0
    latest: int | None = None


class Planned(NamedTuple):
    """One entry of the new layer.

    ``source`` is the path of its content in the source's tree (or archive), None if it has none; ``origin`` the
    position of that source among those that were given.
    """

    entry: Entry
    source: str | None
    origin: int = 0


def select(tree: Tree, pattern: str) -> tuple[Selected, ...]:
    """Return the sources that ``pattern`` names in ``tree``, sorted by path; none if a wildcard matches nothing.

    A link that is named is followed, and copied under its own name. Raises: BuildError if a literal path is missing.
    """
    clean = _clean(pattern)
    if not has_wildcard(clean):
        real = tree.resolve(clean)
        entry = tree.get(real)
        if entry is None:
            raise BuildError(f'failed to calculate checksum: "/{clean}": not found')
        return (_selected(tree, name_of(clean), entry),)
    parts = clean.split("/")
    found = [""]
    for part in parts:
        found = [path for directory in found for path in _matches(tree, directory, part)]
    selected = []
    for path in sorted(found):
        entry = tree.get(tree.resolve(path))
        if entry is not None:
            selected.append(_selected(tree, name_of(path), entry))
    return tuple(selected)


def _clean(pattern: str) -> str:
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _matches(tree: Tree, directory: str, pattern: str) -> list[str]:
    real = tree.resolve(directory)
    if not has_wildcard(pattern):
        return [join(directory, pattern)] if join(real, pattern) in tree else []
    names = [name_of(entry.path) for entry in tree.below(real) if entry.path == join(real, name_of(entry.path))]
    return [join(directory, name) for name in names if match(pattern, name)]


def _selected(tree: Tree, name: str, entry: Entry) -> Selected:
    if entry.kind != DIRECTORY:
        return Selected(name, entry)
    start = len(entry.path) + 1 if entry.path else 0
    return Selected(name, entry, tuple(item._replace(path=item.path[start:]) for item in tree.below(entry.path)))


def plan(
    sources: Sequence[Selected | Unpacked], destination: str, workdir: str, tree: Tree, attributes: Attributes
) -> tuple[Planned, ...]:
    """Return the entries of the layer, sorted by path, a parent directory of each included.

    ``tree`` is what the stage holds so far. Raises: BuildError where a file and a directory collide.
    """
    copier = _Copier(tree, attributes)
    target = destination if destination.startswith("/") else f"{workdir.rstrip('/')}/{destination}"
    wants_directory = destination in ("", ".") or destination.endswith(("/", "/."))
    for origin, source in enumerate(sources):
        copier.begin(origin)
        if isinstance(source, Unpacked):
            copier.archive(source, target)
        elif source.entry.kind == DIRECTORY:
            copier.directory(source, target)
        else:
            copier.file(source, target, wants_directory=wants_directory)
    return copier.finish()


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

    def make_directory(self, path: str, like: Entry | None = None) -> None:
        """Make ``path`` and its parents where they are missing; ``like`` gives the attributes of the last one."""
        for directory in (*ancestors(path), path):
            current = self._current(directory)
            if current is None:
                template = like if like is not None and directory == path else None
                self._planned[directory] = Planned(self._new_directory(directory, template), None)
            elif current.kind != DIRECTORY:
                raise BuildError(f"cannot copy to non-directory: /{directory}")

    def _new_directory(self, path: str, like: Entry | None) -> Entry:
        if like is not None:
            return self._adjusted(like, path)
        owner = self._attributes.owner or (0, 0)
        mode = 0o755 if self._attributes.mode is None else self._attributes.mode
        return Entry(path, DIRECTORY, mode, owner[0], owner[1], mtime=self._attributes.created_at)

    def _adjusted(self, entry: Entry, path: str) -> Entry:
        owner = self._attributes.owner or (entry.uid, entry.gid)
        mode = entry.mode
        if self._attributes.mode is not None and entry.kind != SYMLINK:
            mode = self._attributes.mode
        latest = self._attributes.latest
        mtime = entry.mtime if latest is None else min(entry.mtime, latest)
        return entry._replace(path=path, mode=mode, uid=owner[0], gid=owner[1], mtime=mtime)

    def directory(self, source: Selected, destination: str) -> None:
        """Merge what a directory holds into ``destination``."""
        target = self._resolve(destination)
        self.make_directory(target, like=source.entry)
        for member in source.members:
            place = join(target, member.path)
            if member.kind != DIRECTORY:
                self._put(member, place, join(source.entry.path, member.path))
                continue
            self.make_directory(place)
            self._planned[place] = Planned(self._adjusted(member, place), None)

    def archive(self, source: Unpacked, destination: str) -> None:
        """Unpack an archive: links of the image are followed inside the root, what is in the way is replaced."""
        root = self._resolve(destination)
        self.make_directory(root)
        for member, content in _without_hard_links(source.members):
            place = self._resolve(join(root, member.path), follow_last=False)
            current = self._current(place)
            if current is not None and (member.kind == DIRECTORY) != (current.kind == DIRECTORY):
                self._forget_below(place)
            self.make_directory(self._resolve(parent_of(place)))
            if member.kind == DIRECTORY:
                self._planned[place] = Planned(self._adjusted(member, place), None)
            else:
                self._plan(member, place, content)

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

    def _plan(self, entry: Entry, target: str, source: str) -> None:
        if entry.kind != FILE:
            self._planned[target] = Planned(self._adjusted(entry, target), None)
            return
        self._groups[target] = (self._origin, inode_of(entry, source))
        self._planned[target] = Planned(self._adjusted(entry, target)._replace(linkname=""), source, self._origin)

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
                entry = planned.entry._replace(kind=HARDLINK, size=0, linkname=earlier, sha256="", xxh3="", offset=0)
                planned = Planned(entry, None)
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
