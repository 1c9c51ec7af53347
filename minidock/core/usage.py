"""Who uses how much: every layer is counted once.

It belongs to images if an image has it, else to the build cache if a record keeps it, else to the containers made from
it. What is reclaimable in a row is what the prune of that row (`image prune -a`, `container prune`, `volume prune -a`,
`builder prune -a`) frees when it is the only one: a layer of an image that the build cache keeps too is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field
from datetime import datetime
from typing import NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.summary import (
    CacheRow,
    ContainerRow,
    ContainerState,
    DiskUsage,
    ImageRow,
    ImageUsage,
    UsageKind,
    UsageRow,
    VolumeRow,
)

_ACTIVE = (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)


@dataclass(frozen=True, slots=True)
class ImageFact:
    """One image, however many names it has: the row of its first name, and its layers."""

    row: ImageRow
    diff_ids: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class ContainerFact:
    """One container, stopped or not: what it was made from, and the names of its volumes."""

    row: ContainerRow
    image_id: Digest
    diff_ids: tuple[Digest, ...]
    volumes: tuple[str, ...] = ()


class CacheFact(NamedTuple):
    """One record of the build cache.

    ``diff_id`` is the layer that the step made, if it made one; ``reached`` are all layers that the record keeps;
    ``is_step_of_image`` says that the image of the step is part of a listed image.
    """

    id: str
    created: datetime
    last_used: datetime | None = None
    usage_count: int = 0
    diff_id: Digest | None = None
    reached: tuple[Digest, ...] = ()
    is_in_use: bool = False
    is_step_of_image: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found in a store.

    ``layer_sizes`` holds every layer that anything names; ``mounts`` are the cache mounts of build steps.
    """

    images: tuple[ImageFact, ...] = ()
    containers: tuple[ContainerFact, ...] = ()
    volumes: tuple[VolumeRow, ...] = ()
    cache: tuple[CacheFact, ...] = ()
    layer_sizes: Mapping[Digest, int] = field(default_factory=dict)
    mounts: tuple[CacheRow, ...] = ()
    on_disk: tuple[tuple[str, int], ...] = ()
    overhead: tuple[tuple[str, int], ...] = ()
    writers: int = 0

    def size(self, diff_ids: AbstractSet[Digest]) -> int:
        """Return the bytes of layers."""
        return sum(map(self.layer_sizes.__getitem__, diff_ids))


class _Layers(NamedTuple):
    """Which layers images have, records of the build cache keep, and containers need."""

    images: AbstractSet[Digest]
    cache: AbstractSet[Digest]
    containers: AbstractSet[Digest]


def account(facts: Facts) -> DiskUsage:
    """Return everything that `system df` shows."""
    volumes = tuple(volume._replace(links=_links(volume.name, facts)) for volume in facts.volumes)
    layers = _Layers(
        _layers_of(facts.images),
        {diff_id for record in facts.cache for diff_id in record.reached},
        _needed_by_containers(facts),
    )
    cache = _cache_rows(facts, layers)
    summary = (
        _images_row(facts, layers),
        _containers_row(facts, layers),
        _volumes_row(volumes),
        _cache_row(facts, layers, cache),
    )
    containers = tuple(fact.row for fact in facts.containers)
    return DiskUsage(
        summary, _image_rows(facts), containers, volumes, cache, facts.on_disk, facts.overhead, facts.writers
    )


def _needed_by_containers(facts: Facts) -> set[Digest]:
    used = {container.image_id for container in facts.containers}
    needed = _layers_of(facts.containers)
    return needed | {diff_id for image in facts.images if image.row.image_id in used for diff_id in image.diff_ids}


def _layers_of(items: Iterable[ImageFact | ContainerFact]) -> set[Digest]:
    return {diff_id for item in items for diff_id in item.diff_ids}


def _images_row(facts: Facts, layers: _Layers) -> UsageRow:
    used = {container.image_id for container in facts.containers}
    return UsageRow(
        UsageKind.IMAGES,
        total=len(facts.images),
        active=sum(image.row.image_id in used for image in facts.images),
        size=facts.size(layers.images),
        reclaimable=facts.size(layers.images - layers.containers - layers.cache),
    )


def _containers_row(facts: Facts, layers: _Layers) -> UsageRow:
    rows = [fact.row for fact in facts.containers]
    own = _layers_of(facts.containers) - layers.images - layers.cache
    busy = _layers_of(fact for fact in facts.containers if fact.row.state in _ACTIVE)
    return UsageRow(
        UsageKind.CONTAINERS,
        total=len(rows),
        active=sum(row.state in _ACTIVE for row in rows),
        size=sum(row.size_rw for row in rows) + facts.size(own),
        reclaimable=sum(row.size_rw for row in rows if row.state not in _ACTIVE) + facts.size(own - busy),
    )


def _links(volume: str, facts: Facts) -> int:
    return sum(volume in container.volumes for container in facts.containers)


def _volumes_row(volumes: tuple[VolumeRow, ...]) -> UsageRow:
    return UsageRow(
        UsageKind.VOLUMES,
        total=len(volumes),
        active=sum(bool(volume.links) for volume in volumes),
        size=sum(volume.size or 0 for volume in volumes),
        reclaimable=sum(volume.size or 0 for volume in volumes if not volume.links),
    )


def _cache_row(facts: Facts, layers: _Layers, rows: tuple[CacheRow, ...]) -> UsageRow:
    own = layers.cache - layers.images
    busy = {diff_id for record in facts.cache if record.is_in_use for diff_id in record.reached}
    return UsageRow(
        UsageKind.CACHE,
        total=len(rows),
        active=sum(row.is_in_use for row in rows),
        size=facts.size(own) + sum(row.size for row in facts.mounts),
        reclaimable=facts.size(own - busy - layers.containers)
        + sum(row.size for row in facts.mounts if not row.is_in_use),
    )


def _image_rows(facts: Facts) -> tuple[ImageUsage, ...]:
    owners = Counter(diff_id for image in facts.images for diff_id in set(image.diff_ids))
    users = Counter(container.image_id for container in facts.containers)
    rows = []
    for image in facts.images:
        shared = sum(facts.layer_sizes[diff_id] for diff_id in image.diff_ids if owners[diff_id] > 1)
        rows.append(ImageUsage(image.row, shared, image.row.size - shared, users[image.row.image_id]))
    return tuple(rows)


def _cache_rows(facts: Facts, layers: _Layers) -> tuple[CacheRow, ...]:
    """Return a row for each record, and one for each layer that only records keep though none of them made it.

    Such are the layers of a base image that was removed. The sizes of rows that are not shared add up to the cache's,
    unless two records made the same layer.
    """
    rows = []
    unmade = layers.cache - layers.images - {record.diff_id for record in facts.cache}
    others: dict[Digest, CacheRow] = {}
    for record in facts.cache:
        size = facts.layer_sizes[record.diff_id] if record.diff_id is not None else 0
        is_shared = record.diff_id in layers.images if record.diff_id is not None else record.is_step_of_image
        rows.append(_row(record, record.id, size, is_shared=is_shared))
        if unmade:
            for diff_id in record.reached:
                if diff_id in unmade and diff_id not in others:
                    others[diff_id] = _row(record, diff_id.hex, facts.layer_sizes[diff_id], is_shared=False)
    return tuple(sorted([*rows, *others.values(), *facts.mounts], key=lambda row: (row.created, row.id)))


def _row(record: CacheFact, name: str, size: int, *, is_shared: bool) -> CacheRow:
    return CacheRow(
        name,
        "regular",
        size,
        record.created,
        record.last_used,
        record.usage_count,
        is_in_use=record.is_in_use,
        is_shared=is_shared,
    )
