"""What made the layers of an image and what is in them, from configs and entry indexes: no layer is opened."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.build_record import BuildRecord, StepFate
from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import LINES
from minidock.core.digest import Digest
from minidock.core.entries import Entry
from minidock.core.image_steps import ImageStep, image_steps
from minidock.core.step_lines import StepLines
from minidock.engine import images
from minidock.engine.image_list import config_digest
from minidock.engine.images import Image
from minidock.engine.workspace import Workspace
from minidock.errors import NoSuchImage


@dataclass(frozen=True, slots=True)
class ImageLayers:
    """An image, its steps oldest first, and the entries of its layers base first."""

    image: Image
    steps: tuple[ImageStep, ...]
    entries: tuple[Sequence[Entry], ...]


def image_layers(ws: Workspace, name: str) -> ImageLayers:
    """Return what is known of an image's layers. Raises: NoSuchImage, InvalidReference, BlobNotFound."""
    image = images.find(ws, name)
    return ImageLayers(image, steps_of(ws, image), entries_of(ws, image.config.diff_ids))


def entries_of(ws: Workspace, diff_ids: Sequence[Digest]) -> tuple[Sequence[Entry], ...]:
    """Return the entries of layers in the same order. Raises: BlobNotFound."""
    return tuple(ws.store.layers.entries(diff_id) for diff_id in diff_ids)


def steps_of(ws: Workspace, image: Image) -> tuple[ImageStep, ...]:
    """Return the steps of an image, oldest first, with their lines where this store knows them."""
    return image_steps(image.config, _lines(ws, image))


def _lines(ws: Workspace, image: Image) -> tuple[StepLines | None, ...]:
    """Return the lines of an image's steps; of one that is only a step of others, what those know of it."""
    listed = ws.store.images.list()
    own = images.known_lines(listed, image.image_id)
    if own or any(config_digest(item) == image.image_id for item in listed):
        return own
    for item in reversed(listed):
        image_id = config_digest(item) if LINES in item.annotations else None
        if image_id is not None and _begins_with(ws, image_id, image.config):
            return images.known_lines(listed, image_id)
    return ()


def _begins_with(ws: Workspace, image_id: Digest, step: ImageConfig) -> bool:
    try:
        whole = images.load(ws, image_id).config
    except NoSuchImage:
        return False
    return whole.history[: len(step.history)] == step.history and whole.diff_ids[: len(step.diff_ids)] == step.diff_ids


def last_fates(ws: Workspace, image: Image) -> dict[Digest, StepFate]:
    """Return what the last build of an image did about each layer; nothing if that is not recorded."""
    record = next((record for record in ws.store.builds.latest() if record.image_id == image.image_id), None)
    return {} if record is None else _by_layer(record)


def _by_layer(record: BuildRecord) -> dict[Digest, StepFate]:
    found: dict[Digest, StepFate] = {}
    for step in record.steps:
        if step.diff_id is not None and (step.diff_id not in found or found[step.diff_id].is_cached):
            found[step.diff_id] = step  # of steps that made the same layer one that ran is the one to tell of
    return found
