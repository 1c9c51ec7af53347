"""What a store would be without some of its things, and how many bytes would come back: nothing is changed.

A `Forecast` begins as the store is. Things are dropped from it in the order in which commands would remove them; then
`freed` finds what nothing would need any more, with the collector's own rules. The bytes are those of what goes (files
that have other names elsewhere give none back) and of a shorter index.json, less what the record of events grows by.
They are exact if nobody writes meanwhile and everything written has reached the disk: a file system may take a block
more for a file's map when it does.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from minidock.core.config import ImageConfig
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.networks import Network
from minidock.engine import events
from minidock.engine.container_removal import is_due
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace
from minidock.store import session as sessions
from minidock.store.cache import Record
from minidock.store.collector import Freed, Garbage, Marker, Reached, Roots, find_garbage, mark_containers
from minidock.store.containers import Container
from minidock.store.event_log import growth
from minidock.store.measure import removable, rounded
from minidock.store.spare_block import beside, may_need_map
from minidock.store.store import Store


class Forecast:
    """A store as it would be; ``roots`` are what would still keep things, ``pinned`` what living sessions hold."""

    def __init__(self, ws: Workspace, roots: Roots | None = None) -> None:
        """Begin with the store as it is; ``roots`` are its own, if they have been read."""
        self._ws = ws
        self._store = ws.store
        self._index = ws.store.images.index()
        self.roots = roots or Roots.of(ws.store)
        self.pinned = sessions.pinned(ws.store.layout)
        self._paths = sessions.abandoned(ws.store.layout)  # any session removes these first
        self._events: list[bytes] = []
        leases = ws.store.layout.path("locks", "lease", "")
        self._collects = any(path.startswith(leases) for path in self._paths)
        self._is_thorough = False
        self._found: tuple[Roots, bool, Garbage] | None = None  # the garbage, and what it was found with

    def drop_containers(self, gone: Sequence[Container]) -> None:
        """Remove containers, and with them those whose removal has begun or is due."""
        if not gone:
            return
        ids = {container.id for container in gone} | {item.id for item in self.roots.containers if is_due(item)}
        listed = {config_digest(item) for item in self.roots.images}
        for container in self.roots.containers:
            if container.id in ids:
                self._paths.append(self._store.containers.path(container.id))
                self._events += self._last_words(container)
                self._collects |= container.record.image_id not in listed
        self._paths += [self._store.containers.path(name) for name in self._store.containers.half_made()]
        kept = tuple(item for item in self.roots.containers if item.id not in ids)
        self.roots = replace(self.roots, containers=kept)

    def _last_words(self, container: Container) -> list[bytes]:
        """Return the events of a container's removal, which ends its process."""
        lines = []
        if container.has_process and container.state.started_at is not None:
            seconds = (self._ws.clock.now() - container.state.started_at).total_seconds()
            lines += events.lines(events.ended(container.record, 137, seconds))
        return [*lines, events.line(container.record, "destroy")]

    def keep_images(self, images: Iterable[Descriptor]) -> None:
        """Leave only these entries in index.json, and collect."""
        self.rename_images(images)
        self._collects = True

    def rename_images(self, images: Iterable[Descriptor]) -> None:
        """Put these entries into index.json: no more than names change."""
        self.roots = replace(self.roots, images=tuple(images))

    def tell(self, told: Iterable[events.Told]) -> None:
        """Count what the record of events grows by these."""
        self._events += events.lines(told)

    def drop_records(self, gone: Sequence[Record], others: Iterable[str] = (), *, is_thorough: bool = False) -> None:
        """Remove records of the build cache and ``others``: paths; ``is_thorough`` takes unpacked layers too."""
        keys = {record.key for record in gone}
        paths = [*(self._store.cache.record_path(record) for record in gone), *others]
        known = set(self._paths)
        self._paths += [path for path in paths if path not in known]
        kept = tuple(record for record in self.roots.records if record.key not in keys)
        self.roots = replace(self.roots, records=kept)
        self._collects = True
        self._is_thorough |= is_thorough

    def drop_volumes(self, names: Iterable[str]) -> None:
        """Remove volumes."""
        for name in names:
            self._paths.append(self._store.layout.path("volumes", name))
            self._events.append(events.volume_line(name, "destroy"))

    def drop_networks(self, networks: Iterable[Network]) -> None:
        """Remove networks."""
        for network in networks:
            self._paths.append(self._store.layout.path("networks", network.id))
            self._events.append(events.network_line(network, "destroy"))

    def freed(self) -> Freed:
        """Return what all of that would give back."""
        blobs, layers = frozenset[Digest](), frozenset[Digest]()
        paths = list(self._paths)
        if self._collects:
            garbage = self._garbage()
            paths += garbage.paths
            blobs, layers = garbage.blobs, garbage.layers
        size = removable(paths) + self._index_shrinks() - growth(self._store.layout.root, self._events)
        return Freed(size, blobs, layers)

    def _garbage(self) -> Garbage:
        if self._found is None or self._found[0] is not self.roots or self._found[1] != self._is_thorough:
            found = find_garbage(self._store, self.roots, self.pinned, is_thorough=self._is_thorough)
            self._found = (self.roots, self._is_thorough, found)
        return self._found[2]

    def _index_shrinks(self) -> int:
        after = replace(self._index, manifests=self.roots.images)
        if after == self._index:
            return 0
        path, size = self._store.layout.index, len(after.to_bytes())
        status = os.stat(path)
        # A long list keeps the block that it has beside its content.
        spare = 0 if may_need_map(size, status.st_blksize) else beside(status)
        return rounded(status.st_size, path) - rounded(size, path) + spare


def only_cached(store: Store, roots: Roots, images: Collection[tuple[Digest, ImageConfig]]) -> int:
    """Return the bytes that images take, as far as nothing but the build cache keeps what they are made of."""
    own, others, cached = Marker(store), Marker(store), Marker(store)
    for image_id, config in images:
        own.reached.blobs.add(image_id.hex)
        own.stack(config.diff_ids)
    others.descriptors(roots.images)
    mark_containers(store, others, roots.containers)
    cached.records(roots.records)
    return removable(paths_of(store, own.reached, cached.reached, others.reached))


def paths_of(store: Store, wanted: Reached, also: Reached, but: Reached) -> list[str]:
    """Return the paths of what is in both ``wanted`` and ``also``, less ``but``."""
    found = []
    unpacked = set(os.listdir(store.layout.path("snapshots"))) if wanted.stacks and also.stacks else set()
    unpacked &= wanted.unpacked(unpacked, store.known)
    unpacked &= also.unpacked(unpacked, store.known)
    unpacked -= but.unpacked(unpacked, store.known)
    for directory, names in (
        ("blobs/sha256", (wanted.blobs & also.blobs) - but.blobs),
        ("layers", (wanted.layers & also.layers) - but.layers),
        ("forms", (wanted.layers & also.layers) - but.layers),
        ("snapshots", unpacked),
    ):
        found += [path for name in sorted(names) if os.path.lexists(path := store.layout.path(directory, name))]
    return found
