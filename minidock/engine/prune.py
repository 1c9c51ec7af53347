"""Removes what is not in use: images, build cache, containers, volumes, or all of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minidock.core.ancestry import is_step_of
from minidock.core.descriptor import REF_NAME, Descriptor
from minidock.core.digest import Digest
from minidock.core.volume import VolumeFilter
from minidock.engine import containers, networks, volumes
from minidock.engine.collect import Removed, gone_layers, on_full_disk
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace
from minidock.store.cache import Record
from minidock.store.collector import Freed, Marker, collect
from minidock.store.measure import allocated
from minidock.store.store import Store

_EVERY_VOLUME = VolumeFilter()


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune took away; ``size`` are the bytes on the disk that came back."""

    images: tuple[Removed, ...] = ()
    records: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    size: int = 0
    networks: tuple[str, ...] = ()

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            self.images + other.images,
            self.records + other.records,
            self.containers + other.containers,
            self.volumes + other.volumes,
            self.size + other.size,
            self.networks + other.networks,
        )


def prune_images(ws: Workspace, *, includes_named: bool) -> Pruned:
    """Remove images that no container was made from: those without a name, or all."""
    store = ws.store
    if not store.exists:
        return Pruned()
    marker = Marker(store)
    with store.session(is_removal=True) as session:
        used = {container.record.image_id for container in store.containers.list()}

        def should_go(item: Descriptor) -> bool:
            image_id = config_digest(item)
            is_wanted = REF_NAME in item.annotations and not includes_named
            return image_id is not None and image_id not in used and not is_wanted

        for item in store.images.list():  # their configs may be gone afterwards
            if should_go(item):
                marker.config(config_digest(item) or item.digest)
        before = allocated([store.layout.index])
        gone = on_full_disk(store, lambda: store.images.remove(session, should_go))
        size = before - allocated([store.layout.index])
        freed = collect(store, session)
        size += freed.size + session.tidied_size
    return Pruned(images=_removed(gone, marker, freed), size=size)


def _removed(gone: Iterable[Descriptor], marker: Marker, freed: Freed) -> tuple[Removed, ...]:
    names: dict[Digest, list[str]] = {}
    for item in gone:
        image_id = config_digest(item)
        assert image_id is not None
        names.setdefault(image_id, []).extend([item.annotations[REF_NAME]] if REF_NAME in item.annotations else [])
    told: set[Digest] = set()
    removed = []
    for image_id in names:
        config = marker.config(image_id)
        layers = [chain_id for chain_id in gone_layers(config, freed) if chain_id not in told] if config else []
        told.update(layers)
        removed.append(Removed(tuple(sorted(names[image_id])), (image_id, *layers)))
    return tuple(removed)


def prune_cache(ws: Workspace, *, is_all: bool) -> Pruned:
    """Remove the records of the build cache that no image needs and no build uses, or all; then what they kept.

    Cache mounts that no build uses go in either case.

    All means everything that can be made again: unpacked layers and what is known about contexts go too.
    """
    store = ws.store
    if not store.exists:
        return Pruned()
    gone: list[str] = []

    def choose(pinned: set[str]) -> list[str]:
        records = [record for record in store.cache.records() if not _is_in_use(record, pinned)]
        if not is_all:
            records = _without_images(store, records)
        mounts = store.cache_mounts.unused_paths()
        gone.extend([*(record.key.hex for record in records), *map(os.path.basename, mounts)])
        paths = [*(store.cache.record_path(record) for record in records), *mounts]
        return [*paths, *store.cache.derived_paths(), *store.builds.paths()] if is_all else paths

    with store.session(is_removal=True) as session:
        freed = collect(store, session, choose, is_thorough=is_all)
        size = freed.size + session.tidied_size
    return Pruned(records=tuple(gone), size=size)


def _is_in_use(record: Record, pinned: set[str]) -> bool:
    return any(digest is not None and digest.hex in pinned for digest in (record.diff_id, record.image_id))


def _without_images(store: Store, records: Sequence[Record]) -> list[Record]:
    """Return the records that are no part of a listed image: neither their layer nor the image of their step."""
    marker = Marker(store)
    listed = (config_digest(item) for item in store.images.list())
    configs = [config for image_id in listed if image_id is not None and (config := marker.config(image_id))]
    layers = {diff_id for config in configs for diff_id in config.diff_ids}

    def is_part(record: Record) -> bool:
        if record.diff_id in layers:
            return True
        step = marker.config(record.image_id) if record.image_id is not None else None
        return step is not None and any(is_step_of(step, config) for config in configs)

    return [record for record in records if not is_part(record)]


def prune_containers(ws: Workspace, filters: Sequence[tuple[str, str]] = ()) -> Pruned:
    """Remove the containers that do not run, and what only they needed."""
    store = ws.store
    if not store.exists:
        return Pruned()
    sizes = {container.id: allocated([store.containers.path(container.id)]) for container in store.containers.list()}
    with store.session(is_removal=True) as session:
        size = session.tidied_size
        removed, _ = containers.prune(ws, filters)
        size += collect(store, session).size
    return Pruned(containers=removed, size=size + sum(sizes.get(name, 0) for name in removed))


def prune_volumes(ws: Workspace, *, includes_named: bool, wanted: VolumeFilter = _EVERY_VOLUME) -> Pruned:
    """Remove the volumes that no container uses and the filter wants: anonymous ones, or all."""
    store = ws.store
    if not store.exists:
        return Pruned()
    sizes = {volume.name: allocated([store.layout.path("volumes", volume.name)]) for volume in store.volumes.list()}
    with store.session(is_removal=True) as session:
        size = session.tidied_size
    removed = volumes.prune(ws, includes_named=includes_named, wanted=wanted)
    return Pruned(volumes=removed, size=size + sum(sizes.get(name, 0) for name in removed))


def prune_system(ws: Workspace, *, is_all: bool, includes_volumes: bool) -> Pruned:
    """Remove containers that do not run, anonymous volumes if wanted, unused images and unused build cache."""
    pruned = prune_containers(ws) + Pruned(networks=networks.prune(ws))
    if includes_volumes:
        pruned += prune_volumes(ws, includes_named=False)
    pruned += prune_images(ws, includes_named=is_all)
    return pruned + prune_cache(ws, is_all=is_all)
