"""The list of images: answered from index.json alone, by a module that imports next to nothing.

`image ls` is typed more often than anything else; its start-up is measured by the benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from minidock.core.descriptor import CONFIG_DIGEST, CREATED, REF_NAME, REPO_DIGESTS, SIZE, Descriptor
from minidock.core.digest import Digest
from minidock.core.summary import ImageRow
from minidock.core.times import parse_time
from minidock.engine.workspace import Workspace


def config_digest(descriptor: Descriptor) -> Digest | None:
    """Return the image ID that an entry of index.json tells, None for one that a foreign tool wrote."""
    text = descriptor.annotations.get(CONFIG_DIGEST)
    return Digest.parse(text) if text else None


def list_images(ws: Workspace, *, include_intermediate: bool = False) -> tuple[ImageRow, ...]:
    """Return one row per name, newest image first, equal times by name; nameless images too.

    Where a registry knows one of those by a digest only, there is a row with its repository and no tag.
    ``include_intermediate`` adds the images of single steps, which the build cache keeps.
    """
    entries = [item for item in ws.store.images.list() if config_digest(item) is not None]
    rows = [_row(item, repository, tag) for item in entries for repository, tag in _names(item)]
    if include_intermediate and ws.store.exists:
        rows += _step_rows(ws, {row.image_id for row in rows})
    return tuple(sorted(rows, key=_newest_first))


def _step_rows(ws: Workspace, shown: set[Digest]) -> list[ImageRow]:
    """Return rows of the images that the build cache keeps, without those that are ``shown`` already."""
    steps = {record.image_id: None for record in ws.store.cache.records() if record.image_id is not None}
    rows = []
    for image_id in steps:
        lineage = None if image_id in shown else ws.store.known.lineage(image_id)
        if lineage is not None:
            size = sum(map(ws.store.layers.size_of, lineage.diff_ids))
            rows.append(ImageRow("", "", "", image_id, moment(lineage.created), size))
    return rows


def _newest_first(row: ImageRow) -> tuple[float, str, str, str]:
    moment = row.created.timestamp() if row.created else 0.0
    return (-moment, row.repository or "~", row.tag, row.image_id.hex)


def _names(item: Descriptor) -> list[tuple[str, str]]:
    """Return repository and tag of an entry; without a name the repositories that it came from, empty if from none."""
    name, colon, tag = item.annotations.get(REF_NAME, "").rpartition(":")
    if colon:
        return [(name, tag)]
    places = [text.partition("@")[0] for text in item.annotations.get(REPO_DIGESTS, "").split()]
    return [(place, "") for place in dict.fromkeys(places)] or [("", "")]


def _row(item: Descriptor, repository: str, tag: str) -> ImageRow:
    image_id = config_digest(item)
    assert image_id is not None
    return ImageRow(
        repository=repository,
        tag=tag,
        digest=_digest_at_registry(item, repository) or str(item.digest),
        image_id=image_id,
        created=moment(item.annotations.get(CREATED)),
        size=int(item.annotations.get(SIZE, "0")),
    )


def _digest_at_registry(item: Descriptor, repository: str) -> str:
    """Return what the registry calls an image of this repository by, an index perhaps; empty if none is known to."""
    known = [name.partition("@") for name in item.annotations.get(REPO_DIGESTS, "").split()]
    return next((digest for name, _, digest in reversed(known) if name == repository), "")


def labels_of(ws: Workspace, image_id: Digest) -> Mapping[str, str]:
    """Return the labels of an image, none if its config cannot be read."""
    config = ws.store.known.config(image_id)
    return {} if config is None else config.config.labels


def moment(text: str | None) -> datetime | None:
    """Return a time as the image config has it as a value."""
    return parse_time(text) if text else None
