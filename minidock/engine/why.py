"""Why steps of the last builds were rebuilt, from what the builds have left."""

from __future__ import annotations

from dataclasses import replace

from minidock.core.build_record import BuildRecord
from minidock.engine import images
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidReference, NoSuchBuild, NoSuchImage


def last_build(ws: Workspace, wanted: str = "") -> BuildRecord:
    """Return the last build of all; of an image by name or ID; or of all, with the steps that ``wanted`` names only.

    A step is named by ``#N`` or by a part of what the progress calls it. Raises: NoSuchBuild.
    """
    records = ws.store.builds.latest()
    if not records:
        raise NoSuchBuild("no build is recorded in this store", hint="build something first: `minidock build DIR`")
    if not wanted:
        return records[0]
    found = _of_image(ws, records, wanted)
    if found is not None:
        return found
    steps = tuple(step for step in records[0].steps if wanted == f"#{step.number}" or wanted in step.name)
    if not steps:
        raise NoSuchBuild(
            f"{wanted}: neither an image whose build is recorded nor a step of the last build",
            hint="`minidock why` shows the steps of the last build",
        )
    return replace(records[0], steps=steps)


def _of_image(ws: Workspace, records: tuple[BuildRecord, ...], name: str) -> BuildRecord | None:
    try:
        image_id = images.find(ws, name).image_id
        familiar = images.familiar(name)
    except (NoSuchImage, InvalidReference):
        return None
    return next((record for record in records if record.image_id == image_id), None) or next(
        (record for record in records if familiar in record.names), None
    )
