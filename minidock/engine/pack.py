"""Images as one OCI layout, for docker with the manifest.json that its older versions read too.

The same images give the same bytes: members have a fixed order, no owner and the time 0. Layers are copied as they are
stored, and compared with their digests on the way.
Source: OCI image-spec, image-layout.md; moby, daemon/internal/image/tarexport/save.go; containerd, archive/exporter.go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from hashlib import sha256

from minidock.core import mediatype
from minidock.core.canonical import dumps
from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import REF_NAME, Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.image_index import ImageIndex
from minidock.core.reference import Reference
from minidock.engine.sinks import Sink
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt

LAYOUT_FILE, INDEX_FILE, MANIFEST_FILE = "oci-layout", "index.json", "manifest.json"
LAYOUT_VERSION = "1.0.0"
FULL_NAME = "io.containerd.image.name"
SINCE = "dev.minidock.since"  # of an index: the images whose layers the archive leaves out
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """An image to pack: the bytes of its config and manifest, its familiar names, what its descriptor says beside."""

    config: bytes
    manifest: Manifest
    names: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Since:
    """Images that whoever gets an archive has already: their names for the user, and their layers."""

    names: tuple[str, ...] = ()
    diff_ids: frozenset[Digest] = frozenset()


_ALL = Since()


def pack(
    ws: Workspace,
    packed: Sequence[Packed],
    sink: Sink,
    *,
    is_for_docker: bool,
    since: Since = _ALL,
    read: Callable[[Digest], Iterable[bytes]] | None = None,
    index: ImageIndex | None = None,
) -> None:
    """Write images; with ``is_for_docker`` also manifest.json; ``read`` gives layers that the store lacks.

    With ``index`` they are one image for several platforms, which has the names of the first.

    Raises: BlobNotFound, BlobCorrupt.
    """
    documents: dict[Digest, bytes] = {} if index is None else {index.descriptor.digest: index.data}
    layers: dict[Digest, int] = {}
    for image in packed:
        for data in (image.config, image.manifest.to_bytes()):
            documents[Digest.sha256(data)] = data
        layers.update(_needed(image, since))
    sink.directory("blobs")
    sink.directory("blobs/sha256")
    for digest in sorted({*documents, *layers}, key=str):
        if digest in documents:
            sink.file(_path(digest), len(documents[digest]), [documents[digest]])
        else:
            sink.file(_path(digest), layers[digest], read(digest) if read else read_blob(ws, digest))
    listed = [(_described(image), image.names) for image in packed]
    if index is not None:
        listed = [(index.descriptor, packed[0].names)]
    files = {INDEX_FILE: _index(listed, since), LAYOUT_FILE: dumps({"imageLayoutVersion": LAYOUT_VERSION})}
    if is_for_docker:
        files[MANIFEST_FILE] = dumps([_docker_manifest(image) for image in packed])
    for name in sorted(files):
        sink.file(name, len(files[name]), [files[name]])
    sink.close()


def _needed(image: Packed, since: Since) -> Iterator[tuple[Digest, int]]:
    """Yield digest and size of the layers that the other side lacks, in whatever compression it has the others."""
    known = since.diff_ids
    diff_ids = ImageConfig.from_bytes(image.config).diff_ids if known else ()
    for position, layer in enumerate(image.manifest.layers):
        if not known or diff_ids[position] not in known:
            yield layer.digest, layer.size


def _path(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def read_blob(ws: Workspace, digest: Digest) -> Iterator[bytes]:
    """Yield the bytes of a blob. Raises: BlobNotFound, BlobCorrupt instead of the end of what is damaged."""
    found = sha256()
    with os.fdopen(ws.store.blobs.open(digest), "rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
            yield chunk
    if found.hexdigest() != digest.hex:
        raise BlobCorrupt(digest, Digest(found.hexdigest()))


def _described(image: Packed) -> Descriptor:
    data = image.manifest.to_bytes()
    return Descriptor(image.manifest.media_type, Digest.sha256(data), len(data), image.annotations)


def _index(listed: Iterable[tuple[Descriptor, Sequence[str]]], since: Since) -> bytes:
    manifests = []
    for descriptor, names in listed:
        for name in names:
            reference = Reference.parse(name)
            named = {**descriptor.annotations, FULL_NAME: str(reference), REF_NAME: reference.tag or ""}
            manifests.append(replace(descriptor, annotations=named).to_json())
        if not names:
            manifests.append(descriptor.to_json())
    members = {"schemaVersion": 2, "mediaType": mediatype.INDEX, "manifests": manifests}
    return dumps({**members, "annotations": {SINCE: ", ".join(since.names)}} if since.names else members)


def _docker_manifest(image: Packed) -> dict[str, object]:
    return {
        "Config": _path(Digest.sha256(image.config)),
        "RepoTags": list(image.names) or None,
        "Layers": [_path(layer.digest) for layer in image.manifest.layers],
    }
