"""manifest.json of an archive: docker's own list of images, the only one that older versions write.

Source: moby, daemon/internal/image/tarexport/load.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from minidock.core.config import ImageConfig
from minidock.core.descriptor import check_spelling, parse_list
from minidock.core.digest import Digest
from minidock.engine.archive_files import Files, ingest_tar, read_document
from minidock.engine.archived_image import ArchivedImage, familiar_name
from minidock.engine.pack import MANIFEST_FILE
from minidock.engine.workspace import Workspace
from minidock.errors import StoreError
from minidock.store.session import Session

_ROW = ("Config", "RepoTags", "Layers")
_DIGEST_NAME = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?")


def rows_of_docker(files: Files) -> list[tuple[str, list[str], list[str]]]:
    """Return config, tags and layers of every image in docker's manifest.json. Raises: StoreError."""
    what = f"{MANIFEST_FILE} of the archive"
    rows = []
    for row in parse_list(read_document(files, MANIFEST_FILE), what):
        check_spelling(row, _ROW, what)
        config, tags, layers = row.get("Config"), row.get("RepoTags") or [], row.get("Layers")
        if not (isinstance(config, str) and _is_texts(tags) and _is_texts(layers)):
            raise StoreError(f"{what} is malformed")
        rows.append((config, tags, layers))
    return rows


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def images_of_docker(ws: Workspace, session: Session, files: Files) -> Iterator[ArchivedImage]:
    """Store the layers of the images that manifest.json lists; yield the images. Raises: MinidockError."""
    for path, tags, layers in rows_of_docker(files):
        name = _DIGEST_NAME.fullmatch(path)
        data = read_document(files, path, Digest(name[1]) if name else None)
        config = ImageConfig.from_bytes(data)
        if len(layers) != len(config.diff_ids):
            raise StoreError(f"{len(layers)} layers in manifest.json, but {len(config.diff_ids)} in the config")
        for diff_id, layer in zip(config.diff_ids, layers, strict=True):
            with files.open(layer) as section:
                ingest_tar(ws, session, section, diff_id)
        yield ArchivedImage(config, data, tuple(dict.fromkeys(familiar_name(tag) for tag in tags)))


def check_agreement(files: Files, found: Sequence[ArchivedImage]) -> None:
    """Make sure that who goes by manifest.json finds the same images, perhaps for another platform.

    Docker lists one platform of an image there, that of the machine that saved it. Raises: StoreError.
    """
    if not files.has(MANIFEST_FILE):
        return
    told = {name[1]: tags for path, tags, _ in rows_of_docker(files) if (name := _DIGEST_NAME.fullmatch(path))}
    holders = {familiar_name(tag): digest for digest, tags in told.items() for tag in tags}
    for image in found:
        same = {item.hex for item in (image.image_id, *image.others)}
        if same.isdisjoint(told) or any(name in holders and holders[name] not in same for name in image.names):
            raise StoreError("index.json and manifest.json of the archive tell of different images")
