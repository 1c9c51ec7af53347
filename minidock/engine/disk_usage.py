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
from minidock.engine import container_list, dry_run
from minidock.engine.image_list import list_images
from minidock.engine.workspace import Workspace
from minidock.errors import StoreError
from minidock.store import session as sessions
from minidock.store.cache import Record
from minidock.store.collector import Marker, mark_containers
from minidock.store.measure import files_below
from minidock.store.store import Store

_UNIT = 512  # of st_blocks
IMAGES, CONTAINERS, VOLUMES, CACHE = "images", "containers", "volumes", "build cache"
UNPACKED, OVERHEAD = "unpacked layers", "overhead"
KINDS = (IMAGES, CONTAINERS, VOLUMES, CACHE, UNPACKED, OVERHEAD)
_TEMPORARY, _TRASH, _INDEX, _FOLDERS, _UNNEEDED, _OTHER = "temporary", "trash", "index", "folders", "unneeded", "other"
_PARTS = (_TEMPORARY, _TRASH, _INDEX, _FOLDERS, _UNNEEDED, _OTHER)


def disk_usage(ws: Workspace) -> DiskUsage:
    """Return what the store's images, containers, volumes and cache take; all zero if there is no store."""
    if not ws.store.exists:
        return account(Facts(on_disk=tuple((kind, 0) for kind in KINDS)))
    before = _writers(ws.store)
    facts = _facts(ws)
    return account(replace(facts, writers=len(before | _writers(ws.store))))


def prunes(ws: Workspace) -> tuple[tuple[str, int], ...]:
    """Return by kind how many bytes come back if that alone is pruned whole: `image prune -a` and its like."""
    if not ws.store.exists:
        return tuple((kind, 0) for kind in (IMAGES, CONTAINERS, VOLUMES, CACHE))
    return (
        (IMAGES, dry_run.prune_images(ws, includes_named=True).size),
        (CONTAINERS, dry_run.prune_containers(ws).size),
        (VOLUMES, dry_run.prune_volumes(ws, includes_named=True).size),
        (CACHE, dry_run.prune_cache(ws, is_all=True).size),
    )


def _writers(store: Store) -> set[str]:
    """Return the names of the sessions and containers that may be writing now."""
    running = {container.id for container in store.containers.list() if container.is_watched}
    return running.union(sessions.living(store.layout))


def _facts(ws: Workspace) -> Facts:
    store = ws.store
    marker = Marker(store)
    records = store.cache.records()
    images = _image_facts(ws, marker)
    made = _container_facts(ws)
    steps = Steps(found for fact in images if (found := marker.lineage(fact.row.image_id)) is not None)
    pinned = sessions.pinned(store.layout)
    cache = tuple(_cache_fact(record, marker, steps, pinned) for record in records)
    named = {
        *(diff_id for image in images for diff_id in image.diff_ids),
        *(diff_id for container in made for diff_id in container.diff_ids),
        *(diff_id for fact in cache for diff_id in (*fact.reached, fact.diff_id) if diff_id is not None),
    }
    sizes = {diff_id: _layer_size(store, diff_id) for diff_id in named}
    kinds, parts = on_disk(store, records, marker)
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


def _image_facts(ws: Workspace, marker: Marker) -> tuple[ImageFact, ...]:
    first: dict[Digest, ImageRow] = {}
    for row in list_images(ws):
        first.setdefault(row.image_id, row)
    facts = []
    for image_id, row in first.items():
        found = marker.lineage(image_id)
        facts.append(ImageFact(row, found.diff_ids if found is not None else ()))
    return tuple(facts)


def _container_facts(ws: Workspace) -> tuple[ContainerFact, ...]:
    found = []
    for container in ws.store.containers.list():
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


def _cache_fact(record: Record, marker: Marker, steps: Steps, pinned: set[str]) -> CacheFact:
    reached = (record.diff_id,) if record.diff_id is not None else ()
    step = marker.lineage(record.image_id) if record.image_id is not None else None
    names = {digest.hex for digest in (record.diff_id, record.image_id) if digest is not None}
    return CacheFact(
        record.key.hex,
        parse_time(record.created),
        datetime.fromtimestamp(record.last_used, UTC),
        record.usage_count,
        record.diff_id,
        (*reached, *(step.diff_ids if step is not None else ())),
        is_in_use=bool(names & pinned),
        is_step_of_image=step is not None and step in steps,
    )


Terms = tuple[tuple[str, int], ...]


def on_disk(store: Store, records: list[Record], known: Marker) -> tuple[Terms, Terms]:
    """Return the allocated bytes of everything below the store's root by kind, each inode once, as `du` counts.

    And the parts of the overhead. ``known`` lends the configs that it has read.
    """
    owners = _owners(store, records, known)
    totals, parts = dict.fromkeys(KINDS, 0), dict.fromkeys(_PARTS, 0)
    seen: set[tuple[int, int]] = set()
    root = store.layout.root
    for path, status in files_below(root):
        inode = (status.st_dev, status.st_ino)
        if inode in seen:
            continue
        seen.add(inode)
        name, size = path[len(root) + 1 :], status.st_blocks * _UNIT
        kind = _kind(name, owners)
        totals[kind] += size
        if kind == OVERHEAD:
            parts[_part(name, is_directory=stat.S_ISDIR(status.st_mode))] += size
    return tuple(totals.items()), tuple(parts.items())


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


def _owners(store: Store, records: list[Record], known: Marker) -> dict[str, str]:
    """Return to whom each blob and layer index belongs, by path below the root; those that nobody needs are missing."""
    owners: dict[str, str] = {}
    for kind in (IMAGES, CACHE, CONTAINERS):
        marker = Marker(store, known)
        if kind == IMAGES:
            marker.descriptors(store.images.list())
        elif kind == CACHE:
            marker.records(records)
        else:
            mark_containers(store, marker)
        reached = marker.reached
        for directory, names in (
            ("blobs/sha256", reached.blobs),
            ("layers", reached.layers),
            ("forms", reached.layers),
        ):
            for name in names:
                owners.setdefault(f"{directory}/{name}", kind)
    return owners


def _kind(path: str, owners: dict[str, str]) -> str:
    top, _, below = path.partition("/")
    if not below:
        return OVERHEAD
    match top:
        case "snapshots":
            return UNPACKED
        case "containers":
            return CONTAINERS
        case "volumes":
            return VOLUMES
        case "cache":
            return CACHE if "/" in below else OVERHEAD  # the folders are there without any record
    return owners.get(path, OVERHEAD)
