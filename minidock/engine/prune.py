"""Removes what is not in use: images, build cache, containers, volumes, or all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from minidock.core.dataclass import dataclass
from minidock.core.descriptor import REF_NAME, Descriptor
from minidock.core.digest import Digest
from minidock.core.filters import Filter, PruneFilter
from minidock.core.times import parse_time
from minidock.core.volume import VolumeFilter
from minidock.engine import container_prune, events, networks, volumes
from minidock.engine.cache_choice import NO_LIMITS, CacheLimits, choose_cache
from minidock.engine.collect import Removed, gone_layers, on_full_disk
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest
from minidock.store.collector import Freed, Roots, collect
from minidock.store.containers import Container
from minidock.store.known import Known
from minidock.store.measure import allocated, removable

_EVERY_VOLUME = VolumeFilter()
_EVERY = PruneFilter()


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


def prune_images(ws: Workspace, *, includes_named: bool, wanted: PruneFilter = _EVERY) -> Pruned:
    """Remove images that no container was made from and ``wanted`` fits: those without a name, or all."""
    store = ws.store
    if not store.exists:
        return Pruned()
    with store.session(is_removal=True) as session:
        may_go = removable_images(store.known, store.containers.list(), includes_named=includes_named, wanted=wanted)
        for item in store.images.list():  # their configs may be gone afterwards
            if may_go(item):
                store.known.config(config_digest(item) or item.digest)
        before = allocated([store.layout.index])
        gone = on_full_disk(store, lambda: store.images.remove(session, may_go))
        size = before - allocated([store.layout.index])
        freed = collect(store, session)
        size += freed.size + session.tidied_size
    removed, log = removed_images(gone, store.known, freed), events.log_size(ws)
    events.tell_all(ws, events_of(removed))
    return Pruned(images=removed, size=size + log - events.log_size(ws))


def removable_images(
    known: Known, containers: Iterable[Container], *, includes_named: bool, wanted: PruneFilter
) -> Callable[[Descriptor], bool]:
    """Return what tells whether a prune may take an entry of index.json when there are only these containers."""
    used = {container.record.image_id for container in containers}

    def may_go(item: Descriptor) -> bool:
        image_id = config_digest(item)
        if image_id is None or image_id in used or (REF_NAME in item.annotations and not includes_named):
            return False
        if wanted == _EVERY:
            return True
        config = known.config(image_id)
        made = parse_time(config.created).timestamp() if config is not None and config.created else None
        return wanted.fits(made, config.config.labels if config is not None else {})

    return may_go


def removed_images(gone: Iterable[Descriptor], known: Known, freed: Freed) -> tuple[Removed, ...]:
    """Return the images of entries that went, each with those of its layers that a collection took."""
    names: dict[Digest, list[str]] = {}
    for item in gone:
        image_id = config_digest(item)
        assert image_id is not None
        names.setdefault(image_id, []).extend([item.annotations[REF_NAME]] if REF_NAME in item.annotations else [])
    told: set[Digest] = set()
    removed = []
    for image_id in names:
        config = known.config(image_id)
        layers = [chain_id for chain_id in gone_layers(config, freed) if chain_id not in told] if config else []
        told.update(layers)
        removed.append(Removed(tuple(sorted(names[image_id])), (image_id, *layers)))
    return tuple(removed)


def events_of(removed: Iterable[Removed]) -> list[events.Told]:
    """Return the events of images that a prune has removed."""
    return [told for one in removed for told in events.of_removed_image(one.untagged, one.deleted, one.deleted[0])]


def prune_cache(ws: Workspace, *, is_all: bool, limits: CacheLimits = NO_LIMITS) -> Pruned:
    """Remove the records of the build cache that no image needs and no build uses, or all; then what they kept.

    Cache mounts that no build uses go in either case.

    All means everything that can be made again: unpacked layers and what is known about contexts go too.
    """
    store = ws.store
    if not store.exists:
        return Pruned()
    names: tuple[str, ...] = ()
    with store.session(is_removal=True) as session:

        def choose(pinned: set[str]) -> list[str]:
            nonlocal names
            choice = choose_cache(store, Roots.of(store), pinned, is_all=is_all, limits=limits)
            names = choice.names
            return [*(store.cache.record_path(record) for record in choice.records), *choice.others]

        freed = collect(store, session, choose, is_thorough=is_all and limits == NO_LIMITS)
        size = freed.size + session.tidied_size
    return Pruned(records=names, size=size)


def prune_containers(ws: Workspace, filters: Sequence[tuple[str, str]] = ()) -> Pruned:
    """Remove the containers that do not run, and what only they needed."""
    store = ws.store
    if not store.exists:
        return Pruned()
    sizes = {container.id: removable([store.containers.path(container.id)]) for container in store.containers.list()}
    log = events.log_size(ws)
    with store.session(is_removal=True) as session:
        size = session.tidied_size
        removed, more = container_prune.prune(ws, filters)
        size += more + collect(store, session).size
    size += sum(sizes.get(name, 0) for name in removed) + log - events.log_size(ws)
    return Pruned(containers=removed, size=size)


def prune_volumes(ws: Workspace, *, includes_named: bool, wanted: VolumeFilter = _EVERY_VOLUME) -> Pruned:
    """Remove the volumes that no container uses and the filter wants: anonymous ones, or all."""
    store = ws.store
    if not store.exists:
        return Pruned()
    sizes = {volume.name: removable([store.layout.path("volumes", volume.name)]) for volume in store.volumes.list()}
    with store.session(is_removal=True) as session:
        size = session.tidied_size
    log = events.log_size(ws)
    removed = volumes.prune(ws, includes_named=includes_named, wanted=wanted)
    size += sum(sizes.get(name, 0) for name in removed) + log - events.log_size(ws)
    return Pruned(volumes=removed, size=size)


def prune_networks(ws: Workspace, filters: Sequence[Filter] = ()) -> Pruned:
    """Remove the networks that no container is connected with and filters let go."""
    store = ws.store
    if not store.exists:
        return Pruned()
    sizes = {item.name: removable([store.layout.path("networks", item.id)]) for item in store.networks.list()}
    log = events.log_size(ws)
    removed = networks.prune(ws, filters)
    return Pruned(networks=removed, size=sum(sizes.get(name, 0) for name in removed) + log - events.log_size(ws))


def prune_system(ws: Workspace, *, is_all: bool, includes_volumes: bool, filters: Sequence[Filter] = ()) -> Pruned:
    """Remove containers that do not run, anonymous volumes if wanted, unused images and unused build cache.

    ``filters`` say which of them: ``until``, ``label``, ``label!``. Raises: InvalidRequest.
    """
    wanted, of_volumes = system_filters(ws, filters, includes_volumes=includes_volumes)
    pruned = prune_containers(ws, filters) + prune_networks(ws, filters)
    if includes_volumes:
        pruned += prune_volumes(ws, includes_named=False, wanted=of_volumes)
    pruned += prune_images(ws, includes_named=is_all, wanted=wanted)
    return pruned + prune_cache(ws, is_all=is_all, limits=CacheLimits(wanted))


def system_filters(
    ws: Workspace, filters: Sequence[Filter], *, includes_volumes: bool
) -> tuple[PruneFilter, VolumeFilter]:
    """Return what filters of everything say of images and build cache, and of volumes. Raises: InvalidRequest."""
    wanted = PruneFilter.of(filters, int(ws.clock.now().timestamp() * 1_000_000_000))
    if includes_volumes and wanted.until is not None:
        raise InvalidRequest('ERROR: The "until" filter is not supported with "--volumes"')
    return wanted, VolumeFilter(labels=wanted.labels, without=wanted.without)
