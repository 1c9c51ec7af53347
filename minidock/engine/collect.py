"""Removes images that users no longer want (`rmi`), and with them everything that nothing needs any more."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from typing import TypeVar

from minidock.core import removal
from minidock.core.ancestry import is_step_of
from minidock.core.config import ImageConfig, chain_ids
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import REF_NAME, Descriptor
from minidock.core.digest import Digest
from minidock.core.removal import Candidate, ImageUse
from minidock.engine import events, images
from minidock.engine.forecast import only_cached
from minidock.engine.image_list import config_digest
from minidock.engine.images import Image
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidReference
from minidock.store.cache import Record
from minidock.store.collector import Freed, Roots, collect
from minidock.store.measure import allocated
from minidock.store.session import Session
from minidock.store.store import Store

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Removed:
    """One image that lost names or went: its ID, and the chain IDs of the layers that went with it, topmost first.

    ``size`` bytes came back, ``cached`` stay because the build cache keeps them: the file system decides about both.
    """

    untagged: tuple[str, ...]
    deleted: tuple[Digest, ...]
    size: int = field(default=0, compare=False)
    cached: int = field(default=0, compare=False)


def remove_image(ws: Workspace, text: str, *, is_forced: bool) -> Removed:
    """Take a name from an image, or the whole image away; layers that the build cache knows stay as build cache.

    Raises: NoSuchImage, InvalidReference, ImageConflict.
    """
    image = images.find(ws, text)
    removed = _remove(ws.store, image, text, is_forced=is_forced)
    log = events.log_size(ws)
    events.tell_all(ws, events.of_removed_image(removed.untagged, removed.deleted, image.image_id))
    return replace(removed, size=removed.size + log - events.log_size(ws))


def _remove(store: Store, image: Image, text: str, *, is_forced: bool) -> Removed:
    name = name_of(image, text)
    candidate = candidate_of(store, Roots.of(store), image)
    plan = removal.decide(candidate, name, is_forced=is_forced)
    with store.session(is_removal=True) as session:
        if not plan.deletes:
            if len(candidate.names) > 1:
                return Removed(_forget(store, session, image.image_id, plan.untagged), ())
            change = on_full_disk(store, lambda: store.images.untag(session, image.image_id, plan.untagged))
            return Removed(change, ())
        before = allocated([store.layout.index])
        untagged = _forget(store, session, image.image_id, plan.untagged)
        shrunk = before - allocated([store.layout.index])
        if any(config_digest(item) == image.image_id for item in store.images.list()):
            return Removed(untagged, ())  # somebody gave it one more name just now
        steps = [] if candidate.is_listed else [record for record in store.cache.records() if made_by(record, image)]
        freed = collect(store, session, lambda pinned: [store.cache.record_path(record) for record in steps])
        size = freed.size + shrunk + session.tidied_size
        cached = only_cached(store, Roots.of(store), [(image.image_id, image.config)])
    return Removed(untagged, (image.image_id, *gone_layers(image.config, freed)), size, cached)


def name_of(image: Image, text: str) -> str | None:
    """Return the name by which ``text`` gives the image, None if it gives its ID."""
    try:
        name = images.familiar(text)
    except InvalidReference:
        return None
    return name if name in image.names else None


def candidate_of(store: Store, roots: Roots, image: Image) -> Candidate:
    """Return what decides whether an image may go."""
    uses = tuple(
        ImageUse(container.id, container.has_process)
        for container in roots.containers
        if container.record.image_id == image.image_id
    )
    is_listed = any(config_digest(item) == image.image_id for item in roots.images)
    has_children = not is_listed and _has_children(store, roots, image)
    return Candidate(image.image_id, image.names, uses, is_listed=is_listed, has_children=has_children)


def _has_children(store: Store, roots: Roots, image: Image) -> bool:
    others = {config_digest(item) for item in roots.images}
    others |= {record.image_id for record in roots.records}
    own = store.known.lineage(image.image_id)
    found = (store.known.lineage(other) for other in others - {None, image.image_id} if other is not None)
    return own is not None and any(other is not None and is_step_of(own, other) for other in found)


def made_by(record: Record, image: Image) -> bool:
    """Whether a record of the build cache is that of the step that made an image."""
    return record.image_id == image.image_id


def _forget(store: Store, session: Session, image_id: Digest, names: Sequence[str]) -> tuple[str, ...]:
    """Take an image's entries with ``names`` and without any out of the list; return the names that it had."""

    def should_go(item: Descriptor) -> bool:
        name = item.annotations.get(REF_NAME)
        return config_digest(item) == image_id and (name is None or name in names)

    gone = on_full_disk(store, lambda: store.images.remove(session, should_go))
    return tuple(sorted(item.annotations[REF_NAME] for item in gone if REF_NAME in item.annotations))


def on_full_disk(store: Store, change: Callable[[], _Result]) -> _Result:
    """Return what ``change`` returns; where it finds no space it tries once more without the reserve."""
    try:
        return change()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
    store.free_reserve()
    return change()


def gone_layers(config: ImageConfig, freed: Freed) -> list[Digest]:
    """Return the chain IDs of an image's layers that a collection took away, topmost first."""
    chain = zip(config.diff_ids, chain_ids(config.diff_ids), strict=True)
    return [chain_id for diff_id, chain_id in reversed(list(chain)) if diff_id in freed.layers]
