"""Whose bytes fill the disk: one walk over the files of a store, which changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping

from minidock.store.cache import Record
from minidock.store.collector import Marker, mark_containers
from minidock.store.measure import UNIT, folders_below
from minidock.store.store import Store

IMAGES, CONTAINERS, VOLUMES, CACHE = "images", "containers", "volumes", "build cache"
UNPACKED, OVERHEAD = "unpacked layers", "overhead"
KINDS = (IMAGES, CONTAINERS, VOLUMES, CACHE, UNPACKED, OVERHEAD)
_TEMPORARY, _TRASH, _INDEX, _FOLDERS, _UNNEEDED, _OTHER = "temporary", "trash", "index", "folders", "unneeded", "other"
_PARTS = (_TEMPORARY, _TRASH, _INDEX, _FOLDERS, _UNNEEDED, _OTHER)
_WHOLE = {"snapshots": UNPACKED, "containers": CONTAINERS, "volumes": VOLUMES}

Terms = tuple[tuple[str, int], ...]
Owners = Mapping[str, Mapping[str, str]]
_NOBODY: Mapping[str, str] = {}


def on_disk(store: Store, records: Iterable[Record]) -> tuple[Terms, Terms]:
    """Return the allocated bytes of everything below the store's root by kind, each inode once, as `du` counts.

    And the parts of the overhead.
    """
    owners = _owners(store, records)
    totals, parts = dict.fromkeys(KINDS, 0), dict.fromkeys(_PARTS, 0)
    root = store.layout.root
    size = os.lstat(root).st_blocks * UNIT
    totals[OVERHEAD], parts[_FOLDERS] = size, size
    seen: set[tuple[int, int]] = set()
    for folder, items in folders_below(root):
        below_root = folder[len(root) + 1 :]
        usual, by_name = _kinds_in(below_root, owners)
        for name, status in items:
            inode = (status.st_dev, status.st_ino)
            if inode in seen:
                continue
            seen.add(inode)
            size = status.st_blocks * UNIT
            kind = by_name.get(name, usual)
            totals[kind] += size
            if kind == OVERHEAD:
                path = f"{below_root}/{name}" if below_root else name
                parts[_part(path, is_directory=stat.S_ISDIR(status.st_mode))] += size
    return tuple(totals.items()), tuple(parts.items())


def _kinds_in(folder: str, owners: Owners) -> tuple[str, Mapping[str, str]]:
    """Return the kind of what is in a folder (its path below the root), and other kinds by name."""
    top, _, below = folder.partition("/")
    if top == "cache":
        return (CACHE if below else OVERHEAD), _NOBODY  # the folders are there without any record
    return _WHOLE.get(top, OVERHEAD), owners.get(folder, _NOBODY)


def _part(path: str, *, is_directory: bool) -> str:
    """Return what kind of overhead there is at ``path``; ``unneeded`` is what the next prune collects."""
    top, _, below = path.partition("/")
    if below and top in ("tmp", "trash"):
        return _TEMPORARY if top == "tmp" else _TRASH
    if is_directory:
        return _FOLDERS
    if path == "index.json":
        return _INDEX
    return _UNNEEDED if top in ("blobs", "layers", "forms") else _OTHER


def _owners(store: Store, records: Iterable[Record]) -> Owners:
    """Return to whom blobs and layer indexes belong, by folder and name; those that nobody needs are missing."""
    owners: dict[str, dict[str, str]] = {"blobs/sha256": {}, "layers": {}, "forms": {}}
    for kind in (CONTAINERS, CACHE, IMAGES):  # the last one has it
        marker = Marker(store)
        if kind == IMAGES:
            marker.descriptors(store.images.list())
        elif kind == CACHE:
            marker.records(records)
        else:
            mark_containers(store, marker)
        owners["blobs/sha256"].update(dict.fromkeys(marker.reached.blobs, kind))
        for directory in ("layers", "forms"):
            owners[directory].update(dict.fromkeys(marker.reached.layers, kind))
    return owners
