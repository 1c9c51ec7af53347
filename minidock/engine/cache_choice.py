"""What of the build cache a prune takes: by use, by age and labels, and only as much as is too much."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from minidock.core.ancestry import Steps
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.filters import PruneFilter
from minidock.engine.forecast import paths_of
from minidock.engine.image_list import config_digest
from minidock.store.cache import Record
from minidock.store.cache_mounts import CacheMount
from minidock.store.collector import Marker, Reached, Roots, mark_containers
from minidock.store.measure import removable
from minidock.store.store import Store

_EVERY = PruneFilter()


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """What `builder prune` is to leave: what ``wanted`` does not fit, and the last used up to ``kept_size`` bytes."""

    wanted: PruneFilter = _EVERY
    kept_size: int = 0


NO_LIMITS = CacheLimits()


@dataclass(frozen=True, slots=True)
class CacheChoice:
    """What of the build cache goes: records, ``others`` (paths), and every unpacked layer if ``is_thorough``.

    ``names`` are the keys of records and cache mounts.
    """

    records: tuple[Record, ...] = ()
    names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    is_thorough: bool = False


def choose_cache(store: Store, roots: Roots, pinned: set[str], *, is_all: bool, limits: CacheLimits) -> CacheChoice:
    """Return what goes if ``roots`` are all there is and living sessions hold ``pinned``."""
    records = [record for record in roots.records if not record.is_held_by(pinned)]
    if not is_all:
        records = _without_images(store, roots, records)
    idle = store.cache_mounts.unused_paths()
    if limits == NO_LIMITS:
        others = [*idle, *store.cache.derived_paths(roots.records), *store.builds.paths()] if is_all else idle
        names = [*(record.key.hex for record in records), *map(os.path.basename, idle)]
        return CacheChoice(tuple(records), tuple(names), tuple(others), is_all)
    labels = _Labels(store, roots) if limits.wanted.has_labels else None
    records = [item for item in records if limits.wanted.fits(item.last_used, labels.of(item) if labels else {})]
    mounts = [mount for mount in store.cache_mounts.list() if mount.path in idle]
    mounts = [mount for mount in mounts if limits.wanted.fits(mount.last_used, {})]
    units: list[Record | CacheMount] = sorted([*records, *mounts], key=lambda unit: unit.last_used)
    if limits.kept_size:
        return _too_much(store, roots, pinned, units, limits.kept_size)
    return _choice(units)


def _choice(units: Sequence[Record | CacheMount], unpacked: Sequence[str] = ()) -> CacheChoice:
    records = tuple(unit for unit in units if isinstance(unit, Record))
    mounts = [unit for unit in units if not isinstance(unit, Record)]
    names = (*(record.key.hex for record in records), *(mount.key for mount in mounts))
    return CacheChoice(records, names, (*(mount.path for mount in mounts), *unpacked))


def _too_much(
    store: Store, roots: Roots, pinned: set[str], units: Sequence[Record | CacheMount], kept_size: int
) -> CacheChoice:
    """Return what is to go until no more than ``kept_size`` bytes stay: unpacked layers first, then the least used."""
    unpacked = _unpacked(store, roots, pinned)
    sizes: dict[str, int] = {}

    def left(count: int) -> int:
        gone = units[:count]
        keys = {unit.key for unit in gone if isinstance(unit, Record)}
        kept = tuple(record for record in roots.records if record.key not in keys)
        mounts = {unit.path for unit in gone if not isinstance(unit, Record)}
        return _size(store, replace(roots, records=kept), mounts, sizes)

    whole = left(0)
    folders = [(path, removable([path])) for path in unpacked]
    excess = whole + sum(size for _, size in folders) - kept_size
    chosen = []
    for path, size in folders:
        if excess <= 0:
            break
        chosen.append(path)
        excess -= size
    if excess <= 0:
        return _choice((), chosen)
    least, most = 0, len(units)
    while least < most:
        middle = (least + most) // 2
        if left(middle) <= kept_size:
            most = middle
        else:
            least = middle + 1
    return _choice(units[:least], unpacked)


def _unpacked(store: Store, roots: Roots, pinned: set[str]) -> list[str]:
    """Return the paths of the unpacked layers that no container and no living session needs, the oldest first."""
    marker = Marker(store)
    marker.pinned(pinned)
    mark_containers(store, marker, roots.containers)
    directory = store.layout.path("snapshots")
    names = set(os.listdir(directory))
    paths = (f"{directory}/{name}" for name in names - marker.reached.unpacked(names, store.known))
    return [path for _, path in sorted((os.stat(path).st_ctime, path) for path in paths)]


def _size(store: Store, roots: Roots, gone_mounts: set[str], sizes: dict[str, int]) -> int:
    """Return the bytes of what only the build cache keeps, without unpacked layers; ``sizes`` are those known."""
    cached, others = Marker(store), Marker(store)
    cached.records(roots.records)
    others.descriptors(roots.images)
    mark_containers(store, others, roots.containers)
    found = Reached(cached.reached.blobs, cached.reached.layers)
    mounts = [mount.path for mount in store.cache_mounts.list() if mount.path not in gone_mounts]
    paths = [*paths_of(store, found, found, others.reached), *map(store.cache.record_path, roots.records), *mounts]
    for path in paths:
        if path not in sizes:
            sizes[path] = removable([path])
    return sum(sizes[path] for path in paths)


class _Labels:
    """The labels of the images of steps; a layer has those of every step image that holds it."""

    def __init__(self, store: Store, roots: Roots) -> None:
        self._known = store.known
        self._of_layers: dict[Digest, dict[str, str]] = {}
        for record in roots.records:
            config = self._known.config(record.image_id) if record.image_id is not None else None
            if config is not None:
                for diff_id in config.diff_ids:
                    self._of_layers.setdefault(diff_id, {}).update(config.config.labels)

    def of(self, record: Record) -> dict[str, str]:
        if record.diff_id is not None:
            return self._of_layers.get(record.diff_id, {})
        config = self._known.config(record.image_id) if record.image_id is not None else None
        return dict(config.config.labels) if config is not None else {}


def _without_images(store: Store, roots: Roots, records: Sequence[Record]) -> list[Record]:
    """Return the records that are no part of a listed image: neither their layer nor the image of their step."""
    known = store.known
    listed = (config_digest(item) for item in roots.images)
    configs = [found for image_id in listed if image_id is not None and (found := known.lineage(image_id))]
    layers = {diff_id for config in configs for diff_id in config.diff_ids}
    steps = Steps(configs)

    def is_part(record: Record) -> bool:
        if record.diff_id in layers:
            return True
        step = known.lineage(record.image_id) if record.image_id is not None else None
        return step is not None and step in steps

    return [record for record in records if not is_part(record)]
