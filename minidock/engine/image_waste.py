"""What an image stores for nothing, and what to change about it."""

from __future__ import annotations

from minidock.core.base_image import BaseImage
from minidock.core.descriptor import REF_NAME
from minidock.core.waste import Waste, find_waste, with_advice
from minidock.core.waste_advice import advices
from minidock.engine import images
from minidock.engine.image_layers import image_layers
from minidock.engine.image_list import config_digest
from minidock.engine.images import Image
from minidock.engine.workspace import Workspace


def image_waste(ws: Workspace, name: str) -> tuple[Waste, BaseImage | None]:
    """Return the waste of an image with advice, and its base image if one is known.

    Raises: NoSuchImage, InvalidReference, BlobNotFound.
    """
    found = image_layers(ws, name)
    base = base_of(ws, found.image)
    waste = find_waste(found.steps, found.entries, base.layers if base else 0)
    return with_advice(waste, advices(waste, found.entries)), base


def base_of(ws: Workspace, image: Image) -> BaseImage | None:
    """Return what an image was built from: as its build told, else the largest named image that it begins with."""
    known = images.known_base(ws.store.images.list(), image.image_id)
    if known is not None and known.layers <= len(image.config.diff_ids):
        return known
    own = image.config.diff_ids
    best: BaseImage | None = None
    for item in ws.store.images.list():
        image_id, name = config_digest(item), item.annotations.get(REF_NAME)
        if image_id is None or not name or image_id == image.image_id:
            continue
        found = ws.store.known.lineage(image_id)
        diff_ids = found.diff_ids if found is not None else ()
        is_part = 0 < len(diff_ids) < len(own) and own[: len(diff_ids)] == diff_ids
        if is_part and (best is None or len(diff_ids) > best.layers):
            best = BaseImage(str(name), str(image_id), len(diff_ids))
    return best
