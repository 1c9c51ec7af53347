"""What removals and prunes would do: decided by the rules of the real ones (`prune`, `collect`), on a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minidock.core import removal
from minidock.core.config import ImageConfig
from minidock.core.descriptor import REF_NAME, Descriptor
from minidock.core.digest import Digest
from minidock.core.filters import Filter, PruneFilter
from minidock.core.volume import VolumeFilter
from minidock.engine import container_prune, events, images, networks, prune, volumes
from minidock.engine.cache_choice import NO_LIMITS, CacheLimits, choose_cache
from minidock.engine.collect import Removed, candidate_of, gone_layers, made_by, name_of
from minidock.engine.disk_terms import CACHE, CONTAINERS, IMAGES, VOLUMES
from minidock.engine.forecast import Forecast, only_cached
from minidock.engine.image_list import config_digest
from minidock.engine.images import Image
from minidock.engine.prune import Pruned
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, NoSuchContainer, NoSuchImage, NoSuchVolume
from minidock.store.collector import Roots
from minidock.store.images import untagged

_EVERY_VOLUME = VolumeFilter()
_EVERY = PruneFilter()


class ImageRemovals:
    """What `rmi` with several names would do, one after another."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._forecast = Forecast(ws)
        self._gone: list[tuple[Digest, ImageConfig]] = []
        self._told: set[Digest] = set()
        self._has_begun = False

    def remove(self, text: str, *, is_forced: bool) -> Removed:
        """Return what the removal of one more image would do. Raises: NoSuchImage, InvalidReference, ImageConflict."""
        image = self._find(text)
        removed = self._remove(image, text, is_forced=is_forced)
        self._forecast.tell(events.of_removed_image(removed.untagged, removed.deleted, image.image_id))
        return removed

    def _remove(self, image: Image, text: str, *, is_forced: bool) -> Removed:
        name = name_of(image, text)
        forecast, roots = self._forecast, self._forecast.roots
        candidate = candidate_of(self._ws.store, roots, image)
        plan = removal.decide(candidate, name, is_forced=is_forced)
        self._has_begun = True
        if not plan.deletes and len(candidate.names) == 1:
            index = replace(self._ws.store.images.index(), manifests=roots.images)
            after, gone = untagged(index, image.image_id, plan.untagged)
            forecast.rename_images(after.manifests)
            return Removed(gone, ())

        def stays(named: str | None) -> bool:
            return named is not None and named not in plan.untagged

        kept = [
            item
            for item in roots.images
            if config_digest(item) != image.image_id or stays(item.annotations.get(REF_NAME))
        ]
        if not plan.deletes:
            forecast.rename_images(kept)
            return Removed(plan.untagged, ())
        forecast.keep_images(kept)
        if not candidate.is_listed:
            forecast.drop_records([record for record in roots.records if made_by(record, image)])
        self._gone.append((image.image_id, image.config))
        layers = [layer for layer in gone_layers(image.config, forecast.freed()) if layer not in self._told]
        self._told.update(layers)
        return Removed(plan.untagged, (image.image_id, *layers))

    def _find(self, text: str) -> Image:
        image = images.find(self._ws, text)
        roots = self._forecast.roots
        items = [item for item in roots.images if config_digest(item) == image.image_id]
        names = tuple(sorted(item.annotations[REF_NAME] for item in items if REF_NAME in item.annotations))
        is_gone = not items and not any(made_by(record, image) for record in roots.records)
        lost = set(image.names) - set(names)
        if is_gone or name_of(image, text) in lost:
            raise NoSuchImage(name_of(image, text) or text)
        return replace(image, names=names)

    def sizes(self) -> tuple[int, int]:
        """Return the bytes that would come back, and those that would stay as build cache."""
        if not self._has_begun:
            return 0, 0  # all were refused: not even the rubbish of dead processes is swept
        return self._forecast.freed().size, only_cached(self._ws.store, self._forecast.roots, self._gone)


def if_removed(ws: Workspace, names: Sequence[str]) -> tuple[int, int]:
    """Return what comes back if containers, images and volumes went, whoever uses them, and what stays as build cache.

    Raises: NoSuchImage if a name means nothing.
    """
    forecast = Forecast(ws)
    gone, configs = set[Digest](), list[tuple[Digest, ImageConfig]]()
    taken: set[str] = set()
    for name in names:
        try:
            container = ws.store.containers.find(name)
            if container in forecast.roots.containers:
                forecast.drop_containers([container])
            continue
        except NoSuchContainer:
            pass
        try:
            image = images.find(ws, name)
        except MinidockError as error:
            try:
                forecast.drop_volumes([ws.store.volumes.find(name).name])
            except NoSuchVolume:
                raise error from None
            continue
        given = name_of(image, name)
        names_lost = [given] if given else image.names
        taken.update(names_lost)
        is_gone = taken.issuperset(image.names) and image.image_id not in gone
        forecast.tell(events.of_removed_image(names_lost, [image.image_id] if is_gone else [], image.image_id))
        if is_gone:
            gone.add(image.image_id)
            configs.append((image.image_id, image.config))
    kept = [
        item
        for item in forecast.roots.images
        if config_digest(item) not in gone and item.annotations.get(REF_NAME) not in (taken or {""})
    ]
    if gone:
        forecast.keep_images(kept)
    elif taken:
        forecast.rename_images(kept)
    return forecast.freed().size, only_cached(ws.store, forecast.roots, configs)


def prunes(ws: Workspace) -> tuple[tuple[str, int], ...]:
    """Return by kind how many bytes come back if that alone is pruned whole: `image prune -a` and its like."""
    roots = Roots.of(ws.store) if ws.store.exists else None
    return (
        (IMAGES, prune_images(ws, includes_named=True, roots=roots).size),
        (CONTAINERS, prune_containers(ws, roots=roots).size),
        (VOLUMES, prune_volumes(ws, includes_named=True, roots=roots).size),
        (CACHE, prune_cache(ws, is_all=True, roots=roots).size),
    )


# ``roots`` spare the reading of what keeps things, where it is known.


def prune_containers(ws: Workspace, filters: Sequence[tuple[str, str]] = (), *, roots: Roots | None = None) -> Pruned:
    """Return what `container prune` would take."""
    if not ws.store.exists:
        return Pruned()
    forecast = Forecast(ws, roots)
    return replace(_containers(ws, forecast, filters), size=forecast.freed().size)


def _containers(ws: Workspace, forecast: Forecast, filters: Sequence[tuple[str, str]] = ()) -> Pruned:
    gone = container_prune.idle(ws, filters)
    forecast.drop_containers(gone)
    forecast.drop_records(())  # it collects in any case
    return Pruned(containers=tuple(container.id for container in gone))


def prune_volumes(
    ws: Workspace, *, includes_named: bool, wanted: VolumeFilter = _EVERY_VOLUME, roots: Roots | None = None
) -> Pruned:
    """Return what `volume prune` would take."""
    if not ws.store.exists:
        return Pruned()
    forecast = Forecast(ws, roots)
    pruned = _volumes(ws, forecast, includes_named=includes_named, wanted=wanted)
    return replace(pruned, size=forecast.freed().size)


def _volumes(
    ws: Workspace, forecast: Forecast, *, includes_named: bool, wanted: VolumeFilter = _EVERY_VOLUME
) -> Pruned:
    gone = volumes.unused(ws, forecast.roots.containers, includes_named=includes_named, wanted=wanted)
    names = tuple(volume.name for volume in gone)
    forecast.drop_volumes(names)
    return Pruned(volumes=names)


def prune_images(
    ws: Workspace, *, includes_named: bool, wanted: PruneFilter = _EVERY, roots: Roots | None = None
) -> Pruned:
    """Return what `image prune` would take."""
    if not ws.store.exists:
        return Pruned()
    forecast = Forecast(ws, roots)
    return _images(ws, forecast, includes_named=includes_named, wanted=wanted)


def _images(ws: Workspace, forecast: Forecast, *, includes_named: bool, wanted: PruneFilter = _EVERY) -> Pruned:
    known, roots = ws.store.known, forecast.roots
    may_go = prune.removable_images(known, roots.containers, includes_named=includes_named, wanted=wanted)
    gone: list[Descriptor] = []
    kept: list[Descriptor] = []
    for item in roots.images:
        (gone if may_go(item) else kept).append(item)
    forecast.keep_images(kept)
    removed = prune.removed_images(gone, known, forecast.freed())
    forecast.tell(prune.events_of(removed))
    return Pruned(images=removed, size=forecast.freed().size)


def prune_cache(ws: Workspace, *, is_all: bool, limits: CacheLimits = NO_LIMITS, roots: Roots | None = None) -> Pruned:
    """Return what `builder prune` would take."""
    if not ws.store.exists:
        return Pruned()
    forecast = Forecast(ws, roots)
    return replace(_cache(ws, forecast, is_all=is_all, limits=limits), size=forecast.freed().size)


def _cache(ws: Workspace, forecast: Forecast, *, is_all: bool, limits: CacheLimits = NO_LIMITS) -> Pruned:
    choice = choose_cache(ws.store, forecast.roots, forecast.pinned, is_all=is_all, limits=limits)
    forecast.drop_records(choice.records, choice.others, is_thorough=choice.is_thorough)
    return Pruned(records=choice.names)


def prune_system(ws: Workspace, *, is_all: bool, includes_volumes: bool, filters: Sequence[Filter] = ()) -> Pruned:
    """Return what `system prune` would take."""
    wanted, of_volumes = prune.system_filters(ws, filters, includes_volumes=includes_volumes)
    if not ws.store.exists:
        return Pruned()
    forecast = Forecast(ws)
    pruned = _containers(ws, forecast, filters)
    gone = networks.prunable(ws, filters, networks.used_by(forecast.roots.containers))
    forecast.drop_networks(gone)
    pruned += Pruned(networks=tuple(network.name for network in gone))
    if includes_volumes:
        pruned += _volumes(ws, forecast, includes_named=False, wanted=of_volumes)
    pruned += _images(ws, forecast, includes_named=is_all, wanted=wanted)
    pruned += _cache(ws, forecast, is_all=is_all, limits=CacheLimits(wanted))
    return replace(pruned, size=forecast.freed().size)
