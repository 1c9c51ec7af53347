"""Which layers images have, and who else has them."""

from __future__ import annotations

from minidock.core.descriptor import REF_NAME
from minidock.core.digest import Digest
from minidock.core.layer_tree import Branch, LayeredImage, branches
from minidock.engine import images
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace


def tree(ws: Workspace, name: str = "") -> tuple[Branch, ...]:
    """Return the layers of all images; with a ``name`` those of one, each with those above it that other images have.

    Raises: NoSuchImage, InvalidReference.
    """
    known = _layered(ws)
    if name:
        base = images.find(ws, name).config.diff_ids
        known = [image for image in known if image.diff_ids[:1] == base[:1]]
    return branches(known)


def requirers(ws: Workspace, name: str) -> tuple[str, ...]:
    """Return what needs an image's layers: images built on it, and containers made from it or from those.

    Raises: NoSuchImage, InvalidReference.
    """
    image = images.find(ws, name)
    base = image.config.diff_ids
    found = [
        f"image {other.name}"
        for other in _layered(ws)
        if other.diff_ids[: len(base)] == base and other.name not in (_label(image.image_id, image.names))
    ]
    found += [
        f"container {container.record.name}"
        for container in ws.store.containers.list()
        if container.record.diff_ids[: len(base)] == base
    ]
    return tuple(sorted(found))


def _label(image_id: Digest, names: tuple[str, ...]) -> str:
    return ", ".join(names) or image_id.short


def _layered(ws: Workspace) -> list[LayeredImage]:
    if not ws.store.exists:
        return []
    names: dict[Digest, list[str]] = {}
    for item in ws.store.images.list():
        image_id = config_digest(item)
        if image_id is not None:
            named = names.setdefault(image_id, [])
            named += [item.annotations[REF_NAME]] if REF_NAME in item.annotations else []
    found = []
    for image_id, own in names.items():
        lineage = ws.store.known.lineage(image_id)
        if lineage is not None:
            sizes = tuple(map(ws.store.layers.size_of, lineage.diff_ids))
            found.append(LayeredImage(_label(image_id, tuple(sorted(own))), lineage.diff_ids, sizes))
    return found
