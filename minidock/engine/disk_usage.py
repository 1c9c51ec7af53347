"""Collects what `system df` counts: one reading of the records, one walk over the files. Changes nothing."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime

from minidock.core.ancestry import Steps
from minidock.core.digest import Digest
from minidock.core.summary import CacheRow, DiskUsage, ImageRow, VolumeRow
from minidock.core.times import parse_time
from minidock.core.usage import CacheFact, ContainerFact, Facts, ImageFact, account
from minidock.engine.disk_terms import KINDS, on_disk
from minidock.engine.image_list import list_images
from minidock.engine.workspace import Workspace
from minidock.errors import StoreError
from minidock.store import session as sessions
from minidock.store.cache import Record
from minidock.store.known import Known
from minidock.store.measure import files_below
from minidock.store.store import Store


def disk_usage(ws: Workspace) -> DiskUsage:
    """Return what the store's images, containers, volumes and cache take; all zero if there is no store."""
    if not ws.store.exists:
        return account(Facts(on_disk=tuple((kind, 0) for kind in KINDS)))
    before = _writers(ws.store)
    facts = _facts(ws)
    return account(replace(facts, writers=len(before | _writers(ws.store))))


def _writers(store: Store) -> set[str]:
    """Return the names of the sessions and containers that may be writing now."""
    running = {container.id for container in store.containers.list() if container.is_watched}
    return running.union(sessions.living(store.layout))


def _facts(ws: Workspace) -> Facts:
    store = ws.store
    records = store.cache.records()
    images = _image_facts(ws)
    made = _container_facts(ws)
    steps = Steps(found for fact in images if (found := store.known.lineage(fact.row.image_id)) is not None)
    pinned = sessions.pinned(store.layout)
    cache = tuple(_cache_fact(record, store.known, steps, pinned) for record in records)
    named = {
        *(diff_id for image in images for diff_id in image.diff_ids),
        *(diff_id for container in made for diff_id in container.diff_ids),
        *(diff_id for fact in cache for diff_id in (*fact.reached, fact.diff_id) if diff_id is not None),
    }
    sizes = {diff_id: _layer_size(store, diff_id) for diff_id in named}
    kinds, parts = on_disk(store, records)
    return Facts(images, made, _volume_rows(ws), cache, sizes, _mount_rows(store), kinds, parts)


def _mount_rows(store: Store) -> tuple[CacheRow, ...]:
    return tuple(
        CacheRow(
            mount.key,
            "exec.cachemount",
            _content(store.cache_mounts.data(mount)),
            mount.created,
            datetime.fromtimestamp(mount.last_used, UTC),
            0,
            is_in_use=mount.is_in_use,
            is_shared=False,
        )
        for mount in store.cache_mounts.list()
    )


def _layer_size(store: Store, diff_id: Digest) -> int:
    try:
        return store.layers.size_of(diff_id)
    except StoreError:
        return 0  # it is gone or damaged: then it is not to be counted, and no reason not to count the rest


def _image_facts(ws: Workspace) -> tuple[ImageFact, ...]:
    first: dict[Digest, ImageRow] = {}
    for row in list_images(ws):
        first.setdefault(row.image_id, row)
    facts = []
    for image_id, row in first.items():
        found = ws.store.known.lineage(image_id)
        facts.append(ImageFact(row, found.diff_ids if found is not None else ()))
    return tuple(facts)


def _container_facts(ws: Workspace) -> tuple[ContainerFact, ...]:
    containers = ws.store.containers.list()
    if not containers:
        return ()
    from minidock.engine import container_list  # a tenth of the time, where there is none

    found = []
    for container in containers:
        record = container.record
        row = container_list.row_of(ws, container, has_sizes=True)
        found.append(ContainerFact(row, record.image_id, record.diff_ids, record.volumes))
    return tuple(found)


def _volume_rows(ws: Workspace) -> tuple[VolumeRow, ...]:
    store = ws.store
    return tuple(
        VolumeRow(
            volume.name,
            "local",
            store.volumes.data(volume.name),
            size=_content(store.volumes.data(volume.name)),
            labels=volume.labels,
        )
        for volume in store.volumes.list()
    )


def _content(path: str) -> int:
    """Return the bytes of the regular files below ``path``, each once: docker's size of a volume."""
    files = (status for _, status in files_below(path) if stat.S_ISREG(status.st_mode))
    return sum({(status.st_dev, status.st_ino): status.st_size for status in files}.values())


def _cache_fact(record: Record, known: Known, steps: Steps, pinned: set[str]) -> CacheFact:
    reached = (record.diff_id,) if record.diff_id is not None else ()
    step = known.lineage(record.image_id) if record.image_id is not None else None
    return CacheFact(
        record.key.hex,
        parse_time(record.created),
        datetime.fromtimestamp(record.last_used, UTC),
        record.usage_count,
        record.diff_id,
        (*reached, *(step.diff_ids if step is not None else ())),
        is_in_use=record.is_held_by(pinned),
        is_step_of_image=step is not None and step in steps,
    )
