"""From the members of a tar to the entries of a layer: every name once, and no link between a name and its file.

Members below a symbolic link belong where it leads inside the root, hard links to a file of the same layer. Unpacking
then never meets a link above a member, and can go by names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import Protocol

from xxhash import xxh3_128

from minidock.core.entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    OPAQUE,
    WHITEOUT,
    Entry,
    ancestors,
    has_complete_parents,
    parent_of,
    resolve,
)
from minidock.errors import TarError
from minidock.store.link_targets import MOST_ROUNDS, comes_later, moved_path, target_of
from minidock.store.tar_reader import Reader, Source

_FEW = 8 << 20  # bytes of memory that entries may take before they go to the disk: three layers come at once
_OF_A_NAME = 250  # bytes of memory that a path takes in two dictionaries, without its characters

Found = dict[tuple[str, bool], Entry]


class Entries(Protocol):
    """The entries of a layer in the order of the tar; ``has_parts`` tells whether a file has holes."""

    has_parts: bool

    def __iter__(self) -> Iterator[Entry]: ...

    def has_complete_parents(self) -> bool:
        """Whether every entry's parent directory is an entry too."""
        ...


class Listed:
    """Entries in memory."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self.has_parts = any(entry.parts for entry in entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def has_complete_parents(self) -> bool:
        """Whether every entry's parent directory is an entry too."""
        return has_complete_parents(self._entries)


def read_entries(source: Source) -> list[Entry]:
    """Return the entries of a whole tar stream with the digests of their content. Raises: TarError."""
    reader = Reader(source)
    collected = _Collected()
    for entry in _with_digests(reader):
        collected.add(entry)
    reader.drain()
    return _settled(list(collected.found.values()))


@contextmanager
def spooled_entries(source: Source, room: int | None, few: int = _FEW) -> Iterator[Entries]:
    """Give the entries of a whole tar stream as `read_entries` does, in little memory however many they are.

    More than ``few`` bytes of them go to the disk. ``room`` is how many bytes holes in files may have.
    Raises: TarError.
    """
    reader = Reader(source, room=room)
    collected = _Collected()
    entries = _with_digests(reader)
    for entry in entries:
        collected.add(entry)
        if reader.memory + collected.memory > few and _has_database():
            break
    else:
        reader.drain()
        yield Listed(_settled(list(collected.found.values())))
        return
    from minidock.store.members_on_disk import explained, opened_spool

    with explained(), opened_spool(collected.found.values()) as spool:
        collected.found.clear()
        del collected
        for entry in entries:
            spool.put(entry)
        reader.drain()
        spool.settle()
        yield spool


@cache
def _has_database() -> bool:
    """Whether this Python was built with SQLite: without it memory has to do."""
    try:
        import sqlite3  # noqa: F401  # what `members_on_disk` needs
    except ImportError:
        return False
    return True


def _with_digests(reader: Reader) -> Iterator[Entry]:
    for entry in reader:
        if entry.kind == FILE:
            slow, fast = sha256(), xxh3_128()
            while chunk := reader.read():
                slow.update(chunk)
                fast.update(chunk)
            entry = entry._replace(sha256=slow.hexdigest(), xxh3=fast.hexdigest())
        yield entry


class _Collected:
    """The members up to now: those that unpacking one after the other would leave."""

    def __init__(self) -> None:
        self.found: Found = {}
        self.memory = 0  # bytes that directories take which are no members
        self._below: dict[str, list[str]] = {}  # names in each directory

    def add(self, entry: Entry) -> None:
        if entry.path in self._below and entry.kind != DIRECTORY and not entry.is_deletion:
            self._forget_below(entry.path)  # whoever unpacks removes the directory here
        _put(self.found, entry)
        path, is_new = entry.path, True
        while path and is_new:
            directory = parent_of(path)
            is_new = directory not in self._below
            self._below.setdefault(directory, []).append(path)
            self.memory += 0 if path is entry.path else len(path) + _OF_A_NAME
            path = directory

    def _forget_below(self, directory: str) -> None:
        pending = [directory]
        while pending:
            for path in self._below.pop(pending.pop(), ()):
                self.found.pop((path, False), None)
                self.found.pop((path, True), None)
                pending.append(path)


def _put(found: Found, entry: Entry) -> None:
    """Add an entry: the last one of a name counts, and a directory in the place of a deleted one begins empty."""
    before = found.pop((entry.path, entry.kind == OPAQUE), None)
    if before is not None and {before.kind, entry.kind} == {WHITEOUT, DIRECTORY}:
        found[(entry.path, True)] = Entry(entry.path, OPAQUE)
        entry = entry if entry.kind == DIRECTORY else before
    found[(entry.path, entry.kind == OPAQUE)] = entry


def _settled(entries: list[Entry]) -> list[Entry]:
    """Return the entries with every link above a name, and every hard link, followed. Raises: TarError."""
    entries = _with_emptied(entries)
    for _ in range(MOST_ROUNDS):
        others = {entry.path: entry.kind for entry in entries if not entry.is_deletion and entry.kind != DIRECTORY}
        if not any(directory in others for entry in entries for directory in ancestors(entry.path)):
            return _with_targets([entry for entry in entries if entry.kind != OPAQUE or entry.path not in others])
        entries = _moved(entries, others)
    raise TarError(f"more than {MOST_ROUNDS} links that are below other links")


def _with_emptied(entries: list[Entry]) -> list[Entry]:
    """Return the entries with directories in the place of what is deleted, but has files in it all the same."""
    deleted = {entry.path for entry in entries if entry.kind == WHITEOUT}
    if not deleted:
        return entries
    refilled = {path for entry in entries if not entry.is_deletion for path in ancestors(entry.path)} & deleted
    found: list[Entry] = []
    for entry in entries:
        if entry.kind == WHITEOUT and entry.path in refilled:
            found += [Entry(entry.path, DIRECTORY, 0o755), Entry(entry.path, OPAQUE)]
        else:
            found.append(entry)
    return found


def _moved(entries: Sequence[Entry], others: Mapping[str, str]) -> list[Entry]:
    """Return the entries with the links above them followed once; what stood at the same place before is replaced."""
    names = _names(entries)
    found: Found = {}
    for entry in entries:
        if any(directory in others for directory in ancestors(entry.path)):
            entry = entry._replace(path=moved_path(names, entry))
        _put(found, entry)
    return list(found.values())


def _with_targets(entries: list[Entry]) -> list[Entry]:
    """Return the entries with every hard link leading to what is none itself, and comes earlier. Raises: TarError."""
    if all(entry.kind != HARDLINK for entry in entries):
        return entries
    names = _names(entries)
    found = []
    for entry in entries:
        if entry.kind == HARDLINK:
            entry = names.entries[entry.path] = entry._replace(linkname=target_of(names, entry))
        found.append(entry)
    _check_order(found)
    return found


def _check_order(entries: Iterable[Entry]) -> None:
    """Make sure that every hard link comes after the file that it leads to. Raises: TarError."""
    met: set[str] = set()
    for entry in entries:
        if entry.kind == HARDLINK and entry.linkname not in met:
            raise comes_later(entry)
        if not entry.is_deletion:
            met.add(entry.path)


class _Names:
    """What stands in a layer, by path."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self.entries = entries
        self.get = entries.get

    def resolve(self, path: str) -> str:
        return resolve(self.get, path)


def _names(entries: Iterable[Entry]) -> _Names:
    return _Names({entry.path: entry for entry in entries if not entry.is_deletion})
