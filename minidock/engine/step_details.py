"""The history of an image with the lines of its Dockerfile, and what became of the bytes of every layer."""

from __future__ import annotations

from minidock.core.stored_files import LayerBytes, layer_bytes, stored_files
from minidock.core.summary import HistoryRow, StepDetails
from minidock.engine import images
from minidock.engine.image_layers import entries_of, last_fates, steps_of
from minidock.engine.workspace import Workspace

REUSED, RAN = "reused", "ran"


def history(ws: Workspace, text: str) -> tuple[HistoryRow, ...]:
    """Return `images.history` with details: the newest first. Raises: NoSuchImage, InvalidReference, BlobNotFound."""
    image = images.find(ws, text)
    sums = [layer_bytes(files) for files in stored_files(entries_of(ws, image.config.diff_ids))]
    fates = last_fates(ws, image)
    found = []
    for step in steps_of(ws, image):
        of_layer = LayerBytes() if step.layer is None else sums[step.layer]
        fate = fates.get(step.diff_id) if step.diff_id else None
        last_build = "" if fate is None else REUSED if fate.is_cached else RAN
        lines = "" if step.lines is None else str(step.lines)
        found.append(
            StepDetails(lines, step.instruction, step.diff_id, of_layer.hidden, of_layer.duplicate, last_build)
        )
    rows = images.history(ws, text)
    return tuple(row._replace(details=details) for row, details in zip(rows, reversed(found), strict=False))
