"""Finds what nothing needs any more, by marking from the roots, and removes it.

Roots are the images of index.json, the records of the build cache, the containers, and what living sessions have
pinned. What goes is renamed into the trash while everybody else is kept out, names before what they name: cache
lists, snapshots, layer indexes, blobs. The bytes are unlinked afterwards, unlocked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.store import session as sessions
from minidock.store.cache import Record
from minidock.store.partial import partial_paths
from minidock.store.session import Session
from minidock.store.writer import remove_tree

if TYPE_CHECKING:
    from minidock.store.containers import Container
    from minidock.store.known import Known
    from minidock.store.store import Store

# What is to go besides unreachable things: gets the digests (hex) that living sessions hold, returns paths.
Choose = Callable[[set[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Freed:
    """What a removal gave back: allocated bytes, and the blobs and layers (by diff_id) that are gone."""

    size: int = 0
    blobs: frozenset[Digest] = frozenset()
    layers: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class Garbage:
    """What nothing needs: paths in the order of removing, and the blobs and layers (by diff_id) among them."""

    paths: tuple[str, ...]
    blobs: frozenset[Digest]
    layers: frozenset[Digest]


@dataclass(frozen=True, slots=True)
class Roots:
    """What keeps things from being removed: entries of index.json, containers, records of the build cache."""

    images: tuple[Descriptor, ...]
    containers: tuple[Container, ...]
    records: tuple[Record, ...]

    @classmethod
    def of(cls, store: Store) -> Roots:
        """Return those that a store has now."""
        return cls(store.images.list(), tuple(store.containers.list()), tuple(store.cache.records()))


@dataclass(slots=True)
class Reached:
    """What roots need, as hex digests: blobs and layers (by diff_id); and what they need unpacked.

    That is what ``stacks`` of layers have unpacked, and ``pins``, whatever they name.
    """

    blobs: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)
    stacks: list[Sequence[Digest]] = field(default_factory=list)
    pins: set[str] = field(default_factory=set)

    def unpacked(self, names: set[str], known: Known) -> set[str]:
        """Return those of ``names`` of unpacked layers (diff_ids or chain IDs, hex) that are needed."""
        found = self.pins & names
        for diff_ids in self.stacks if names else ():
            chain = ""
            for diff_id in diff_ids:
                chain = known.chain(chain, diff_id.hex)
                found.update(names.intersection((diff_id.hex, chain)))
        return found


class Marker:
    """Walks from roots to everything that they need; damaged and missing blobs lead nowhere and do no harm."""

    def __init__(self, store: Store) -> None:
        """Begin with nothing reached."""
        self._store = store
        self._known = store.known
        self.reached = Reached()

    def image(self, image_id: Digest) -> None:
        """Mark an image by its ID: config and layers."""
        self.reached.blobs.add(image_id.hex)
        lineage = self._known.lineage(image_id)
        if lineage is not None:
            self.stack(lineage.diff_ids)

    def stack(self, diff_ids: Sequence[Digest]) -> None:
        """Mark layers, base first: index, tar and unpacked copy."""
        self.reached.stacks.append(diff_ids)
        layers = self.reached.layers
        for diff_id in diff_ids:
            if diff_id.hex not in layers:
                layers.add(diff_id.hex)
                self.reached.blobs |= {diff_id.hex, self._store.layers.blob_of(diff_id).hex}

    def descriptors(self, descriptors: Iterable[Descriptor]) -> None:
        """Mark what entries of index.json lead to, those that other programs wrote too."""
        pending = [descriptor.digest for descriptor in descriptors]
        while pending:
            digest = pending.pop()
            if digest.hex in self.reached.blobs:
                continue
            self.reached.blobs.add(digest.hex)
            for name, child in self._known.children(digest):
                if name == "config":
                    self.image(child)
                elif name == "layers":
                    self.reached.blobs.add(child.hex)
                else:
                    pending.append(child)

    def records(self, records: Iterable[Record]) -> None:
        """Mark what records of the build cache keep: the layers and the images of steps."""
        for record in records:
            if record.diff_id is not None:
                self.stack([record.diff_id])
            if record.image_id is not None:
                self.image(record.image_id)

    def pinned(self, names: set[str]) -> None:
        """Mark what living sessions hold; a layer that one holds needs its tar."""
        self.reached.blobs |= names
        self.reached.layers |= names
        self.reached.pins |= names
        for name in names:
            self.reached.blobs.add(self._store.layers.blob_of(Digest(name)).hex)


def mark_containers(store: Store, marker: Marker, containers: Iterable[Container] | None = None) -> None:
    """Mark what containers need, those of the store if none are given."""
    for container in store.containers.list() if containers is None else containers:
        marker.image(container.record.image_id)
        marker.stack(container.record.diff_ids)


def collect(store: Store, session: Session, choose: Choose = lambda pinned: (), *, is_thorough: bool = False) -> Freed:
    """Remove what ``choose`` picks and then everything that nothing needs; return what that gave back.

    ``is_thorough`` removes downloads that were broken off, and unpacked layers but those of containers and of living
    sessions: blobs can give them again.
    """
    with store.locks.exclusive_gc():
        # Before the roots are read: a session that ends in between has published what it held.
        pinned = sessions.pinned(store.layout)
        graves = [session.bury(path) for path in choose(pinned)]
        garbage = find_garbage(store, Roots.of(store), pinned, is_thorough=is_thorough)
        graves += [session.bury(path) for path in garbage.paths]
    size = sum(remove_tree(store.disk, grave) for grave in graves)
    session.close_grave()
    return Freed(size, garbage.blobs, garbage.layers)


def find_garbage(store: Store, roots: Roots, pinned: set[str], *, is_thorough: bool = False) -> Garbage:
    """Return what nothing needs if ``roots`` and what living sessions hold are all that counts; changes nothing."""
    marker = Marker(store)
    marker.pinned(pinned)
    mark_containers(store, marker, roots.containers)
    kept = marker.reached
    unpacked = set(_names(store, "snapshots"))
    snapshots = kept.unpacked(unpacked, store.known) if is_thorough else set()
    marker.records(roots.records)
    marker.descriptors(roots.images)
    if not is_thorough:
        snapshots = kept.unpacked(unpacked, store.known)
    paths = store.cache.unused_lists(roots.records)
    if is_thorough:
        paths += partial_paths(store.layout)
    gone: dict[str, list[str]] = {}
    for directory, needed in (
        ("snapshots", snapshots),
        ("layers", kept.layers),
        ("forms", kept.layers),
        ("blobs/sha256", kept.blobs),
    ):
        gone[directory] = [name for name in _names(store, directory) if name not in needed]
        paths += [store.layout.path(directory, name) for name in gone[directory]]
    return Garbage(tuple(paths), _digests(gone["blobs/sha256"]), _digests(gone["layers"]))


def _digests(names: Iterable[str]) -> frozenset[Digest]:
    return frozenset(Digest(name) for name in names)


def _names(store: Store, directory: str) -> list[str]:
    try:
        return sorted(os.listdir(store.layout.path(directory)))
    except FileNotFoundError:  # a store that was made before there was such a directory
        return []
