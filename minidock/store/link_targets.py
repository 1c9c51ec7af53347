"""Where members of a tar below links belong, and which file a hard link leads to: in the layer itself, or nowhere."""

from __future__ import annotations

from typing import Protocol

from minidock.core.entries import DIRECTORY, HARDLINK, SYMLINK, Entry, ancestors, join, name_of, parent_of
from minidock.errors import StoreError, TarError

MOST_ROUNDS = 40  # links that are themselves below links, or lead to links


class Names(Protocol):
    """What stands in a layer: deletions do not."""

    def get(self, path: str) -> Entry | None:
        """Return the entry at a path."""
        ...

    def resolve(self, path: str) -> str:
        """Return the path with all links followed. Raises: StoreError."""
        ...


def moved_path(names: Names, entry: Entry) -> str:
    """Return the path of an entry with the links above it followed. Raises: TarError."""
    real = _resolve(names, parent_of(entry.path))
    for path in (*ancestors(real), real):
        found = names.get(path)
        if found is not None and found.kind not in (DIRECTORY, SYMLINK):
            raise TarError(f"{entry.path}: its parent is not a directory")
    return join(real, name_of(entry.path))


def target_of(names: Names, link: Entry) -> str:
    """Return the path of the file that a hard link leads to, which is no hard link itself. Raises: TarError."""
    entry: Entry | None = link
    for _ in range(MOST_ROUNDS):
        assert entry is not None
        path = join(_resolve(names, parent_of(entry.linkname)), name_of(entry.linkname))
        entry = names.get(path)
        if entry is None or entry.kind == DIRECTORY:
            raise TarError(f"hard link {link.path}: its target {link.linkname} is not a file of the layer")
        if entry.kind != HARDLINK:
            return path
        if path == link.path:
            raise TarError(f"hard link {link.path}: it leads to itself")
    raise TarError(f"hard link {link.path}: it leads to more than {MOST_ROUNDS} others, one after the other")


def comes_later(link: Entry) -> TarError:
    """Return the error of a hard link that stands before its target: whoever unpacks in order, as docker, fails."""
    return TarError(f"hard link {link.path}: its target {link.linkname} comes later in the tar")


def _resolve(names: Names, path: str) -> str:
    try:
        return names.resolve(path)
    except StoreError as error:
        raise TarError(str(error)) from error
