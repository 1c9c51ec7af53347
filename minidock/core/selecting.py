"""Which files the sources of COPY and ADD name, with --parents and --exclude.

Source: BuildKit, dockerfile2llb/convert_copy.go; tonistiigi/fsutil, copy/copy.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.glob import has_wildcard, match
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.entries import DIRECTORY, SYMLINK, Entry, Tree, ancestors, join, name_of
from minidock.errors import BuildError

_PIVOT = "/./"
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Selected:
    """One source: ``name`` is what it is called at the destination, ``entry`` stands in the source's tree.

    For a directory ``members`` is everything below it, sorted, with paths relative to it; ``passed`` are those
    directories among them that are there for the sake of what they hold only.
    """

    name: str
    entry: Entry
    members: tuple[Entry, ...] = ()
    passed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Selection:
    """What the flags of an instruction say: ``keeps_parents`` (--parents) and the patterns of --exclude.

    ``is_whole`` if the source is all there, a stage's or an image's; of a context only what is named is sent.
    """

    keeps_parents: bool = False
    excludes: IgnoreRules | None = None
    is_whole: bool = False

    def of(self, tree: Tree, source: str) -> tuple[Selected, ...]:
        """Return what ``source`` names in ``tree``, in the order of copying; none if a wildcard matches nothing.

        A link that is named is followed, and copied under its own name. Raises: BuildError if a literal path is not
        there.
        """
        if not self.keeps_parents:
            return tuple(self._filtered(item, None) for item in _named(tree, source))
        parent, pivot, rest = source.partition(_PIVOT)
        start, pattern = (parent, clean(rest)) if pivot else ("", clean(source))
        is_literal = not has_wildcard(start) and not has_wildcard(pattern)
        if is_literal and not pattern:
            raise _not_found(clean(start))
        if is_literal:
            _require_exactly(tree, clean(start), pattern)
        wanted = IgnoreRules.from_patterns([pattern])  # none if only the pivot was named
        found = tuple(self._filtered(item, wanted) for item in _named(tree, start))
        if has_wildcard(start) and pattern and not (self.is_whole or _matches_link(tree, clean(start))):
            found = tuple(item for item in found if item.members)  # of the others nothing is sent
        if is_literal and not any(path.startswith(_unescaped(pattern)) for item in found for path in _taken(item)):
            raise _not_found(join(clean(start), pattern))  # it is there, and excluded
        if not clean(start):
            _require_targets(tree, found)
        return found

    def _filtered(self, item: Selected, wanted: IgnoreRules | None) -> Selected:
        """Return a source without the members that are not ``wanted`` (by a pattern's match) or are excluded."""
        if item.entry.kind != DIRECTORY or (wanted is None and self.excludes is None):
            return item
        taken = {
            member.path
            for member in item.members
            if (wanted is None or wanted.is_ignored(member.path))
            and not (self.excludes is not None and self.excludes.is_ignored(member.path))
        }
        passed = {directory for path in taken for directory in ancestors(path) if directory} - taken
        members = tuple(member for member in item.members if member.path in taken or member.path in passed)
        return Selected(item.name, item.entry, members, frozenset(passed))


def exclusion(patterns: Sequence[str]) -> IgnoreRules | None:
    """Return the rules of --exclude, None if it is not given. Raises: PatternError."""
    return IgnoreRules.from_patterns(patterns) if patterns else None


def clean(pattern: str) -> str:
    """Return a path or pattern relative to the root, without ``.`` and ``..``, which cannot leave it."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _require(tree: Tree, path: str) -> Entry:
    entry = tree.get(tree.resolve(path)) or tree.get(tree.resolve(_unescaped(path)))
    if entry is None:
        raise _not_found(path)
    return entry


def _require_exactly(tree: Tree, start: str, path: str) -> None:
    """Raise the error of a path below ``start`` that is not there without following links."""
    real = tree.resolve(start)
    if join(real, path) not in tree and join(real, _unescaped(path)) not in tree:
        raise _not_found(join(start, path))


def _taken(item: Selected) -> Iterator[str]:
    return (member.path for member in item.members if member.path not in item.passed)


def _require_targets(tree: Tree, found: Iterable[Selected]) -> None:
    """Raise the error of a link of the topmost directory that leads nowhere: BuildKit follows those to hash them."""
    for item in found:
        for member in item.members:
            if member.kind == SYMLINK and "/" not in member.path and tree.get(tree.resolve(member.path)) is None:
                raise _not_found(member.path)


def _unescaped(pattern: str) -> str:
    return _ESCAPED.sub(r"\1", pattern)


def _not_found(path: str) -> BuildError:
    return BuildError(f'failed to calculate checksum: "/{path}": not found')


def _named(tree: Tree, pattern: str) -> tuple[Selected, ...]:
    cleaned = clean(pattern)
    if not has_wildcard(cleaned):
        return (_selected(tree, name_of(cleaned), _require(tree, cleaned)),)
    _require_directory(tree, literal_part(cleaned))
    found = [""]
    is_literal = True
    for part in cleaned.split("/"):
        follows, is_literal = is_literal, is_literal and not has_wildcard(part)
        found = [
            path
            for directory in found
            for path in _matches(tree, directory, part, is_literal=is_literal, follows=follows)
        ]
    selected = []
    for path in sorted(found, key=lambda path: path.split("/")):
        entry = tree.get(tree.resolve(path))
        if entry is None:  # a link that leads nowhere
            raise _not_found(path)
        selected.append(_selected(tree, name_of(path), entry))
    return tuple(selected)


def _matches_link(tree: Tree, pattern: str) -> bool:
    """Tell whether the first wildcard matches a link: everything that it matches is sent then."""
    directory = literal_part(pattern)
    part = pattern.removeprefix(directory).strip("/").split("/")[0]
    found = _matches(tree, directory, part, is_literal=False, follows=True)
    return any((entry := tree.get(path)) is not None and entry.kind == SYMLINK for path in found)


def literal_part(pattern: str) -> str:
    """Return the directory above the first component of a path that has a wildcard, the whole path if none has."""
    parts = pattern.split("/")
    return "/".join(parts[: next((n for n, part in enumerate(parts) if has_wildcard(part)), len(parts))])


def _require_directory(tree: Tree, path: str) -> None:
    """Raise BuildKit's error of a directory to look for matches in that is not there."""
    real = tree.resolve(_unescaped(path))
    if tree.get(real) is None:
        is_below_file = any(above.kind != DIRECTORY for name in ancestors(real) if (above := tree.get(name)))
        raise not_there(real, "not a directory" if is_below_file else "no such file or directory")


def not_there(path: str, reason: str = "no such file or directory") -> BuildError:
    """Return the error of a directory that a pattern begins with."""
    return BuildError(f"lstat /{path}: {reason}")


def _matches(tree: Tree, directory: str, pattern: str, *, is_literal: bool, follows: bool) -> list[str]:
    """Return what ``pattern`` names in ``directory``; behind a wildcard no link is followed to a directory."""
    real = tree.resolve(directory) if follows else directory
    if is_literal:
        return [join(directory, pattern)] if join(real, pattern) in tree else []
    names = [name_of(entry.path) for entry in tree.below(real) if entry.path == join(real, name_of(entry.path))]
    return [join(directory, name) for name in names if match(pattern, name)]


def _selected(tree: Tree, name: str, entry: Entry) -> Selected:
    if entry.kind != DIRECTORY:
        return Selected(name, entry)
    start = len(entry.path) + 1 if entry.path else 0
    return Selected(name, entry, tuple(item._replace(path=item.path[start:]) for item in tree.below(entry.path)))
