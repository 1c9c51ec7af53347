"""The entries of a layer, and the merged tree of a stack of layers, without unpacking anything.

A path is relative to the root of the image, without a leading slash, ``.`` or ``..``; the root itself is ``""``.
Names that are not UTF-8 carry surrogate escapes. Deletions are entries of their own kinds instead of ``.wh.`` names.
Source: OCI image-spec, layer.md ("Whiteouts", "Opaque Whiteout").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from minidock.errors import StoreError

FILE = "file"
DIRECTORY = "dir"
SYMLINK = "symlink"
HARDLINK = "hardlink"  # linkname is the path of an earlier entry of the same layer
CHAR = "char"
BLOCK = "block"
FIFO = "fifo"
WHITEOUT = "whiteout"  # hides `path` of the layers below
OPAQUE = "opaque"  # hides everything below the directory `path` in the layers below

_DELETIONS = (WHITEOUT, OPAQUE)
_LINK_LIMIT = 255


class Entry(NamedTuple):
    """One member of a layer: what it is, its attributes, and where its content stands in the layer's tar.

    ``mode`` holds the twelve permission bits only. ``mtime`` is in whole seconds. ``xattrs`` are (name, value) pairs,
    sorted, values as latin-1 text. ``size``, ``sha256``, ``xxh3`` and ``offset`` (in the uncompressed tar) are those of
    the content of a regular file; a hard link has none of its own. Of a file with holes the tar holds ``parts``, each
    (where it begins in the file, how many bytes it has), one after the other from ``offset`` on; the last of them is
    the end of the file, ``(size, 0)``.
    """

    path: str
    kind: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    linkname: str = ""
    major: int = 0
    minor: int = 0
    xattrs: tuple[tuple[str, str], ...] = ()
    sha256: str = ""
    xxh3: str = ""
    offset: int = 0
    parts: tuple[tuple[int, int], ...] = ()

    @property
    def is_deletion(self) -> bool:
        """Whether this entry only hides what lies below."""
        return self.kind in _DELETIONS


def parent_of(path: str) -> str:
    """Return the path of the directory that holds ``path``; that of the root is the root."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """Return the last part of ``path``."""
    return path.rpartition("/")[2]


def join(directory: str, name: str) -> str:
    """Return the path of ``name`` in ``directory``."""
    return f"{directory}/{name}" if directory else name


def ancestors(path: str) -> Iterator[str]:
    """Yield the directories above ``path``, the root first, ``path`` itself not."""
    if path:
        yield ""
    position = path.find("/")
    while position >= 0:
        yield path[:position]
        position = path.find("/", position + 1)


def content_size(entries: Iterable[Entry]) -> int:
    """Return the bytes of content of the regular files: docker's classic SIZE of a layer."""
    return sum(entry.size for entry in entries if entry.kind == FILE)


def has_complete_parents(entries: Iterable[Entry]) -> bool:
    """Whether every entry's parent directory is an entry too, so that the layer unpacks alike on any parent."""
    entries = list(entries)
    directories = {entry.path for entry in entries if entry.kind == DIRECTORY} | {""}
    needed = (entry.path if entry.kind == OPAQUE else parent_of(entry.path) for entry in entries)
    return all(path in directories for path in needed)


class Tree:
    """The merged view of a stack of layers: what a container sees before it writes anything.

    Values never change; `with_layer` gives a new tree. Hard links stand in it as the files they are
    (``kind == FILE``, content of their target), with ``linkname`` naming the first path of the same file.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: dict[str, Entry] | None = None) -> None:
        self._entries = entries if entries is not None else {"": Entry("", DIRECTORY, 0o755)}

    @classmethod
    def fold(cls, layers: Iterable[Sequence[Entry]]) -> Tree:
        """Return the merged tree of ``layers``, base first."""
        merging = _Merging(dict(cls()._entries))
        for layer in layers:
            merging.add(layer)
        return cls(merging.entries)

    def with_layer(self, layer: Sequence[Entry]) -> Tree:
        """Return the tree with one more layer on top."""
        merging = _Merging(dict(self._entries))
        merging.add(layer)
        return Tree(merging.entries)

    def get(self, path: str) -> Entry | None:
        """Return the entry at ``path`` (links are not followed), or None."""
        return self._entries.get(path)

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> list[Entry]:
        """Return all entries sorted by path, the root first."""
        return [self._entries[path] for path in sorted(self._entries)]

    def below(self, directory: str) -> list[Entry]:
        """Return the entries below ``directory``, itself not, sorted by path."""
        if not directory:
            return self.entries()[1:]
        prefix = f"{directory}/"
        return [self._entries[path] for path in sorted(self._entries) if path.startswith(prefix)]

    def resolve(self, path: str, *, follow_last: bool = True) -> str:
        """Return the real path of ``path``; see `resolve`."""
        return resolve(self._entries.get, path, follow_last=follow_last)


class _Merging:
    """A merged tree in the making, which takes on layer after layer in its place."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self.entries = entries
        # What is in each directory, known from the first time on that all of one must go: most layers take none away.
        self._children: dict[str, set[str]] | None = None

    def add(self, layer: Sequence[Entry]) -> None:
        """Put one more layer on top. Raises: StoreError for a hard link to nothing."""
        self._take_away(layer)
        entries = self.entries
        folder: str | None = None  # where the last entry was put: of 100,000 files most have the neighbour's
        for entry in layer:
            kind, path = entry.kind, entry.path
            if kind in _DELETIONS:
                continue
            parent = path.rpartition("/")[0]
            if parent != folder:
                self._make_parents(path, parent)
                folder = parent if path else None
            entries[path] = entry if kind != HARDLINK else self._linked(entry)
            if self._children is not None and path:
                self._children.setdefault(parent, set()).add(path)

    def _take_away(self, layer: Sequence[Entry]) -> None:
        """Remove what a layer deletes, and directories in whose place it has something else."""
        get = self.entries.get
        for entry in layer:
            kind = entry.kind
            if kind == WHITEOUT:
                self._remove(entry.path)
            elif kind == OPAQUE:
                self._empty(entry.path)
            elif kind != DIRECTORY:
                below = get(entry.path)
                if below is not None and below.kind == DIRECTORY:
                    self._remove(entry.path)

    def _make_parents(self, path: str, parent: str) -> None:
        above = self.entries.get(parent)
        if above is not None and above.kind == DIRECTORY:
            return  # where one is, all above it are
        for directory in ancestors(path):
            below = self.entries.get(directory)
            if below is None or below.kind != DIRECTORY:
                self.entries[directory] = Entry(directory, DIRECTORY, 0o755)
                if self._children is not None and directory:
                    self._children.setdefault(parent_of(directory), set()).add(directory)

    def _linked(self, entry: Entry) -> Entry:
        """Return the entry that a hard link stands for."""
        target = self.entries.get(entry.linkname)
        if target is None or target.kind == DIRECTORY:
            raise StoreError(f"hard link {entry.path}: its target {entry.linkname} is not in the layer")
        first = target.linkname if target.kind == FILE and target.linkname else entry.linkname
        return target._replace(path=entry.path, linkname=first if target.kind == FILE else target.linkname)

    def _remove(self, path: str) -> None:
        """Take away what is at a path and all below it."""
        entry = self.entries.get(path)
        if entry is None:
            return
        if entry.kind == DIRECTORY:
            self._empty(path)
        del self.entries[path]
        if self._children is not None and path:
            self._children[parent_of(path)].discard(path)

    def _empty(self, directory: str) -> None:
        """Take away all that is below a directory."""
        if self._children is None:
            self._children = {}
            for path in self.entries:
                if path:
                    self._children.setdefault(parent_of(path), set()).add(path)
        pending = [directory]
        while pending:
            for path in self._children.pop(pending.pop(), ()):
                if self.entries.pop(path).kind == DIRECTORY:
                    pending.append(path)


def resolve(get: Callable[[str], Entry | None], path: str, *, follow_last: bool = True) -> str:
    """Return the real path of ``path`` with every link that ``get`` knows followed inside the root; it need not exist.

    ``..`` cannot leave the root. Raises: StoreError if the links form a circle.
    """
    pending = [part for part in reversed(path.split("/")) if part and part != "."]
    resolved = ""
    followed = 0
    while pending:
        part = pending.pop()
        if part == "..":
            resolved = parent_of(resolved)
            continue
        candidate = join(resolved, part)
        entry = get(candidate)
        if entry is None or entry.kind != SYMLINK or (not pending and not follow_last):
            resolved = candidate
            continue
        followed += 1
        if followed > _LINK_LIMIT:
            raise StoreError(f"/{path}: too many levels of symbolic links")
        if entry.linkname.startswith("/"):
            resolved = ""
        pending.extend(part for part in reversed(entry.linkname.split("/")) if part and part != ".")
    return resolved
