"""Which files that the layers of an image store can be seen in it, and what became of the others.

A layer holds whole files. One that a later layer overwrites or deletes stays where it is, and a chmod stores the file
once more. Here every stored file (an entry of kind `FILE`; hard links are further names of it) gets exactly one fate:

- visible: it has a name in the merged tree.
- hidden: it has none left; ``hiding`` says which layer took the last one, and how.
- duplicate: an earlier layer stores the same content in a file that has just lost its last name, or had none. Then the
  earlier file lives on under the name of this one, which added nothing but other attributes or another path.

So the sizes of the visible files are the size of the merged tree (each inode once), whatever was copied, and all
three add up to what the layers store: each byte counts once. Two files that are both seen are both visible, equal or
not. An image that has the same layer twice stores it twice here, as its docker size says; on the disk it is there once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.entries import DIRECTORY, FILE, HARDLINK, OPAQUE, WHITEOUT, Entry, ancestors, parent_of


class Fate(StrEnum):
    """What became of a stored file."""

    VISIBLE = "visible"
    HIDDEN = "hidden"
    DUPLICATE = "duplicate"


class Way(StrEnum):
    """How a later layer takes a name away."""

    OVERWRITTEN = "overwritten"  # by anything but a directory, at the same path
    DELETED = "deleted"  # the path itself, or a directory above it
    EMPTIED = "emptied"  # a directory above it is opaque
    REPLACED = "replaced"  # a directory stands in its place, or something else in that of a directory above it


class Hiding(NamedTuple):
    """The ``layer`` (position, base 0) that took the last name of a file, and the entry's path that did it."""

    layer: int
    way: Way
    path: str


class Original(NamedTuple):
    """The earlier layer (position, base 0) that holds the same content.

    ``entry`` is the one whose place the copy took: what differs between the two is all that the copy was made for.
    """

    layer: int
    entry: Entry


class StoredFile(NamedTuple):  # a dataclass takes three times as long to make, and there are hundreds of thousands
    """One file as one layer (position, base 0) stores it; at most one of ``hiding`` and ``original`` is there."""

    layer: int
    entry: Entry
    hiding: Hiding | None = None
    original: Original | None = None

    @property
    def fate(self) -> Fate:
        """What became of it."""
        if self.original is not None:
            return Fate.DUPLICATE
        return Fate.VISIBLE if self.hiding is None else Fate.HIDDEN


@dataclass(frozen=True, slots=True)
class LayerBytes:
    """Content bytes that a layer added: seen in the image, hidden by later layers, or in earlier ones as well."""

    visible: int = 0
    hidden: int = 0
    duplicate: int = 0

    @property
    def added(self) -> int:
        """All of them: docker's size of the layer."""
        return self.visible + self.hidden + self.duplicate


def stored_files(layers: Iterable[Sequence[Entry]]) -> tuple[tuple[StoredFile, ...], ...]:
    """Return the files that each layer stores, base first, in the order of its entries."""
    stack = _Stack()
    for layer in layers:
        stack.add(layer)
    return stack.files()


def layer_bytes(files: Iterable[StoredFile]) -> LayerBytes:
    """Return the sums over the files of a layer (or of several)."""
    sums = dict.fromkeys(Fate, 0)
    for file in files:
        sums[file.fate] += file.entry.size
    return LayerBytes(sums[Fate.VISIBLE], sums[Fate.HIDDEN], sums[Fate.DUPLICATE])


class _Stack:
    """The stored files so far by number, and under which names they can be seen."""

    def __init__(self) -> None:
        self._layers: list[range] = []  # the numbers of each layer's files
        self._entries: list[Entry] = []
        self._positions: list[int] = []
        self._name_counts: list[int] = []
        self._hidings: list[Hiding | None] = []
        self._originals: list[Original | None] = []
        self._latest: list[Entry] = []  # of each file the entry that lends it attributes: its own, or a copy's
        self._holders: dict[str, int] = {}  # which file is seen at a path
        self._children: dict[str, dict[str, None]] = {}  # of directories that lead to such a path, in order
        self._nameless: dict[tuple[str, int], dict[str, int]] = {}  # by content, then path: files that are not seen

    def files(self) -> tuple[tuple[StoredFile, ...], ...]:
        """Return the files of each layer."""
        rows = list(map(StoredFile, self._positions, self._entries, self._hidings, self._originals))
        return tuple(tuple(rows[numbers.start : numbers.stop]) for numbers in self._layers)

    def add(self, layer: Sequence[Entry]) -> None:
        """Put one more layer on top."""
        position = len(self._layers)
        self._hide(position, layer)
        self._layers.append(self._store(position, [entry for entry in layer if entry.kind == FILE]))
        for entry in layer:
            if entry.kind == HARDLINK and entry.linkname in self._holders:  # not so with links to symbolic ones
                number = self._holders[entry.path] = self._holders[entry.linkname]
                self._name_counts[number] += 1
                self._lead_to(entry.path)

    # --- what a layer takes away

    def _hide(self, position: int, layer: Sequence[Entry]) -> None:
        """Take away every name that the layers below have and this one covers; the nearest cause is the one told."""
        if not self._holders:
            return
        for entry in layer:
            path = entry.path
            if path not in self._holders:
                continue
            if entry.kind == FILE:  # it has the path itself: directories lead there as before
                self._unname(path, Hiding(position, Way.OVERWRITTEN, path))
            elif not entry.is_deletion:
                way = Way.REPLACED if entry.kind == DIRECTORY else Way.OVERWRITTEN
                self._forget(path, Hiding(position, way, path))
        for entry in layer:
            kind, path = entry.kind, entry.path
            if kind == WHITEOUT:
                self._forget_all(path, Hiding(position, Way.DELETED, path))
            elif kind == OPAQUE:
                self._forget_below(path, Hiding(position, Way.EMPTIED, path))
            elif kind != DIRECTORY and path in self._children:
                self._forget_below(path, Hiding(position, Way.REPLACED, path))
        self._hide_parents(position, layer)

    def _hide_parents(self, position: int, layer: Sequence[Entry]) -> None:
        """Take away files in whose place a directory must be, though the layer does not say so."""
        looked_at: set[str] = set()
        for entry in layer:
            parent = entry.path.rpartition("/")[0]
            if parent in looked_at or entry.is_deletion:
                continue
            looked_at.add(parent)
            for directory in (*ancestors(parent), parent):
                if directory in self._holders:
                    self._forget(directory, Hiding(position, Way.REPLACED, directory))

    def _forget_all(self, path: str, hiding: Hiding) -> None:
        if path in self._holders:
            self._forget(path, hiding)
        self._forget_below(path, hiding)

    def _forget_below(self, directory: str, hiding: Hiding) -> None:
        pending = [directory]
        while pending:
            for path in tuple(self._children.get(pending.pop(), ())):
                if path in self._holders:
                    self._forget(path, hiding)
                else:
                    pending.append(path)

    def _forget(self, path: str, hiding: Hiding) -> None:
        """Take a name away, and with it directories that lead to none any more."""
        self._unname(path, hiding)
        while path and path not in self._children:
            parent = parent_of(path)
            del self._children[parent][path]
            if self._children[parent] or not parent:
                break
            del self._children[parent]
            path = parent

    def _unname(self, path: str, hiding: Hiding) -> None:
        """Take a name away; the file that has lost its last one waits for a copy of itself."""
        number = self._holders.pop(path)
        self._name_counts[number] -= 1
        if not self._name_counts[number]:
            self._hidings[number] = hiding
            entry = self._entries[number]
            content = (entry.sha256, entry.size)
            if content in self._nameless:
                self._nameless[content][path] = number
            else:
                self._nameless[content] = {path: number}

    # --- what it adds

    def _store(self, position: int, files: Sequence[Entry]) -> range:
        """Take on what a layer stores, which none of the names left hides; return the numbers that the files got."""
        first, count = len(self._entries), len(files)
        self._entries += files
        self._latest += files
        self._positions += [position] * count
        self._name_counts += [0] * count
        self._hidings += [None] * count
        self._originals += [None] * count
        holders, name_counts = self._holders, self._name_counts
        folder: str | None = None
        siblings: dict[str, None] = {}
        kept = self._take_kept(files, first) if self._nameless else {}
        for number, entry in enumerate(files, first):
            path = entry.path
            waiting = kept.get(number)
            if waiting is None and self._nameless:
                waiting = self._take_nameless(entry)
            if waiting is not None:
                self._originals[number] = Original(self._positions[waiting], self._latest[waiting])
                self._latest[waiting] = entry
                self._hidings[waiting] = None
            holder = holders[path] = number if waiting is None else waiting
            name_counts[holder] += 1
            parent = path.rpartition("/")[0]
            if parent == folder and path:  # of 100,000 files most have the neighbour's
                siblings[path] = None
            elif path:
                folder, siblings = parent, self._lead_to(path)
        return range(first, first + count)

    def _take_kept(self, files: Sequence[Entry], first: int) -> dict[int, int]:
        """Return, of files that get numbers from ``first``, which ones without a name they are at the same path.

        They go before copies at other paths, whatever the order of the tar: the step gave them other attributes.
        """
        found = {}
        for number, entry in enumerate(files, first):
            waiting = self._nameless.get((entry.sha256, entry.size)) if entry.size else None
            if waiting and entry.path in waiting:
                found[number] = waiting.pop(entry.path)
        return found

    def _take_nameless(self, entry: Entry) -> int | None:
        """Return the file of a layer below that has the content of ``entry`` and has been without a name for longest.

        There is none for an empty file: no byte is stored twice.
        """
        waiting = self._nameless.get((entry.sha256, entry.size)) if entry.size else None
        return waiting.pop(next(iter(waiting))) if waiting else None

    def _lead_to(self, path: str) -> dict[str, None]:
        """Make the directories above a path known as leading there; return what is in the nearest one."""
        nearest: dict[str, None] | None = None
        while path:
            parent = parent_of(path)
            siblings = self._children.get(parent)
            is_known = siblings is not None
            if siblings is None:
                siblings = self._children[parent] = {}
            siblings[path] = None
            nearest = siblings if nearest is None else nearest
            if is_known:
                break
            path = parent
        return {} if nearest is None else nearest
