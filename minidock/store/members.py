"""From the members of a tar to the entries of a layer: every name once, and no link between a name and its file.

Members below a symbolic link belong where it leads inside the root, hard links to a file of the same layer. Unpacking
then never meets a link above a member, and can go by names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from xxhash import xxh3_128

from minidock.core.entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    OPAQUE,
    SYMLINK,
    WHITEOUT,
    Entry,
    Tree,
    ancestors,
    join,
    name_of,
    parent_of,
)
from minidock.errors import StoreError, TarError
from minidock.store.tar_reader import Reader, Source

_MOST_ROUNDS = 40  # links that are themselves below links


def read_entries(source: Source, room: int | None = None) -> list[Entry]:
    """Return the entries of a whole tar stream with the digests of their content.

    ``room`` is how many bytes holes in files may have. Raises: TarError.
    """
    reader = Reader(source, room=room)
    found: dict[tuple[str, bool], Entry] = {}
    above: set[str] = {""}
    for entry in reader:
        if entry.kind == FILE:
            slow, fast = sha256(), xxh3_128()
            while chunk := reader.read():
                slow.update(chunk)
                fast.update(chunk)
            entry = entry._replace(sha256=slow.hexdigest(), xxh3=fast.hexdigest())
        if entry.path in above and entry.kind != DIRECTORY and not entry.is_deletion:
            _forget_below(found, entry.path)  # whoever unpacks one after the other removes the directory here
        _put(found, entry)
        directory = parent_of(entry.path)
        while directory not in above:
            above.add(directory)
            directory = parent_of(directory)
    reader.drain()
    return _settled(list(found.values()))


def _put(found: dict[tuple[str, bool], Entry], entry: Entry) -> None:
    """Add an entry: the last one of a name counts, and a directory in the place of a deleted one begins empty."""
    before = found.pop((entry.path, entry.kind == OPAQUE), None)
    if before is not None and {before.kind, entry.kind} == {WHITEOUT, DIRECTORY}:
        found[(entry.path, True)] = Entry(entry.path, OPAQUE)
        entry = entry if entry.kind == DIRECTORY else before
    found[(entry.path, entry.kind == OPAQUE)] = entry


def _forget_below(found: dict[tuple[str, bool], Entry], path: str) -> None:
    for key in [key for key in found if key[0].startswith(f"{path}/")]:
        del found[key]


def _settled(entries: list[Entry]) -> list[Entry]:
    """Return the entries with every link above a name, and every hard link, followed. Raises: TarError."""
    entries = _with_emptied(entries)
    for _ in range(_MOST_ROUNDS):
        others = {entry.path: entry.kind for entry in entries if not entry.is_deletion and entry.kind != DIRECTORY}
        if not any(directory in others for entry in entries for directory in ancestors(entry.path)):
            return _with_targets([entry for entry in entries if entry.kind != OPAQUE or entry.path not in others])
        entries = _moved(entries, others)
    raise TarError(f"more than {_MOST_ROUNDS} links that are below other links")


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
    tree = _tree(entries)
    found: dict[tuple[str, bool], Entry] = {}
    for entry in entries:
        if any(directory in others for directory in ancestors(entry.path)):
            real = _resolve(tree, parent_of(entry.path))
            if any(others.get(path, SYMLINK) != SYMLINK for path in (real, *ancestors(real))):
                raise TarError(f"{entry.path}: its parent is not a directory")
            entry = entry._replace(path=join(real, name_of(entry.path)))
        _put(found, entry)
    return list(found.values())


def _with_targets(entries: list[Entry]) -> list[Entry]:
    """Return the entries with every hard link leading to what is none itself. Raises: TarError."""
    if all(entry.kind != HARDLINK for entry in entries):
        return entries
    tree = _tree(entries)
    return [entry._replace(linkname=_target(tree, entry)) if entry.kind == HARDLINK else entry for entry in entries]


def _target(tree: Tree, link: Entry) -> str:
    seen = {link.path}
    entry: Entry | None = link
    while entry is not None and entry.kind == HARDLINK:
        path = join(_resolve(tree, parent_of(entry.linkname)), name_of(entry.linkname))
        if path in seen:
            raise TarError(f"hard link {link.path}: it leads to itself")
        seen.add(path)
        entry = tree.get(path)
    if entry is None or entry.kind == DIRECTORY:
        raise TarError(f"hard link {link.path}: its target {link.linkname} is not a file of the layer")
    return entry.path


def _tree(entries: Iterable[Entry]) -> Tree:
    return Tree({"": Entry("", DIRECTORY, 0o755), **{entry.path: entry for entry in entries if not entry.is_deletion}})


def _resolve(tree: Tree, path: str) -> str:
    try:
        return tree.resolve(path)
    except StoreError as error:
        raise TarError(str(error)) from error
