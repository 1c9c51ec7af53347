"""Images of an OCI layout, in an archive or on disk. Source: OCI image-spec, image-layout.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minidock.core import mediatype
from minidock.core.config import ImageConfig
from minidock.core.descriptor import REF_NAME, Descriptor, Index, Manifest, load_object
from minidock.core.digest import Digest
from minidock.core.platform import Platform
from minidock.engine.archive_files import Files, LayoutFiles, blob_path, ingest_layer, read_document
from minidock.engine.archived_image import ArchivedImage, familiar_name
from minidock.engine.images import Image
from minidock.engine.incoming import check_layers, choose
from minidock.engine.pack import FULL_NAME, INDEX_FILE, LAYOUT_FILE, SINCE
from minidock.engine.platforms import this_platform
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, StoreError
from minidock.store.session import Session

_DEEPEST = 4  # an index in an index …
_MOST_PLATFORMS = 100
_NOTHING_FOR = "the archive holds no image for"


def images_of_layout(
    ws: Workspace, session: Session, files: Files, platforms: Sequence[Platform] = ()
) -> list[ArchivedImage]:
    """Store the layers of all images of a layout and return them.

    Of an image for several platforms it is the first of ``platforms`` that is there, without those this machine's.
    Raises: MinidockError.
    """
    told = Index.from_bytes(read_document(files, INDEX_FILE)).other.get("annotations")
    since = str(told.get(SINCE) or "") if isinstance(told, dict) else ""
    return [_image(ws, session, files, item, platforms, since) for item in _manifests(files)]


def load_layout(ws: Workspace, session: Session, path: str, tag: str, digest: str) -> Image:
    """Store an image of an OCI layout on disk without a name; it is kept until the session ends.

    Without tag and digest it is the only one. Raises: MinidockError.
    """
    files = LayoutFiles(path)
    if not files.has(LAYOUT_FILE):
        raise MinidockError(f"{path}: not an OCI layout: it has no file {LAYOUT_FILE}")
    offered = Index.from_bytes(read_document(files, INDEX_FILE)).manifests
    chosen = [item for item in offered if _answers(item, tag, digest)]
    if len({item.digest for item in chosen}) != 1:
        what = "more than one image" if chosen else "no such image"
        raise MinidockError(f"oci-layout://{path}: {what}", hint="name it as oci-layout://PATH:TAG or PATH@DIGEST")
    found = _image(ws, session, files, (chosen[0], ()))
    return Image(ws.store.blobs.put(session, found.data), found.config)


def _manifests(files: Files) -> Sequence[tuple[Descriptor, tuple[str, ...]]]:
    """Return the descriptors of index.json, each once with all of its names."""
    found: dict[Digest, tuple[Descriptor, tuple[str, ...]]] = {}
    for item in Index.from_bytes(read_document(files, INDEX_FILE)).manifests:
        names = found.get(item.digest, (item, ()))[1]
        found[item.digest] = (item, (*names, *_names(item)))
    return tuple(found.values())


def _names(item: Descriptor) -> tuple[str, ...]:
    text = item.annotations.get(FULL_NAME) or item.annotations.get(REF_NAME, "")
    if "@" in text or (FULL_NAME not in item.annotations and not re.search("[/:]", text)):
        return ()  # a tag alone names nothing, and a digest is what the image is, whatever somebody wrote there
    return (familiar_name(text),) if text else ()


def _image(
    ws: Workspace,
    session: Session,
    files: Files,
    named: tuple[Descriptor, tuple[str, ...]],
    platforms: Sequence[Platform] = (),
    since: str = "",
) -> ArchivedImage:
    descriptor, names = named
    data = read_document(files, blob_path(descriptor.digest), descriptor.digest, descriptor.size)
    others: tuple[Digest, ...] = ()
    for _ in range(_DEEPEST):
        members = load_object(data, "image manifest")
        if members.get("mediaType", descriptor.media_type) != descriptor.media_type:
            raise StoreError(f"{members['mediaType']!r} in a manifest that is said to be {descriptor.media_type!r}")
        if "manifests" not in members or "layers" in members:
            break
        listed = Index.from_bytes(data).manifests
        offered = [item for item in listed if files.has(blob_path(item.digest))] or listed
        # Whoever saves one platform may keep the index of all.
        is_only = len(offered) == 1 < len(listed)
        descriptor = offered[0] if is_only else _chosen(offered, platforms or (this_platform(),))
        others = _configs(files, offered)
        data = read_document(files, blob_path(descriptor.digest), descriptor.digest, descriptor.size)
    manifest = Manifest.from_bytes(data)
    config = read_document(files, blob_path(manifest.config.digest), manifest.config.digest, manifest.config.size)
    return ArchivedImage(_stored(ws, session, files, config, manifest.layers, since), config, names, manifest, others)


def _chosen(offered: Sequence[Descriptor], platforms: Sequence[Platform]) -> Descriptor:
    """Return the entry for the first platform for which there is one. Raises: MinidockError that names the last."""
    for platform in platforms[:-1]:
        try:
            return choose(offered, platform, _NOTHING_FOR)
        except MinidockError:
            continue
    return choose(offered, platforms[-1], _NOTHING_FOR)


def _configs(files: Files, offered: Sequence[Descriptor]) -> tuple[Digest, ...]:
    """Return the configs of the images of an index."""
    found = []
    for item in offered[:_MOST_PLATFORMS]:
        if item.media_type in mediatype.MANIFESTS and files.has(blob_path(item.digest)):
            data = read_document(files, blob_path(item.digest), item.digest, item.size)
            found.append(Manifest.from_bytes(data).config.digest)
    return tuple(found)


def _stored(
    ws: Workspace, session: Session, files: Files, data: bytes, layers: Sequence[Descriptor], since: str
) -> ImageConfig:
    """Store the layers that the store does not have; return the config.

    An archive ``since`` other images leaves theirs out. Raises: MinidockError that names those if a layer is missing.
    """
    config = ImageConfig.from_bytes(data)
    check_layers(config, layers)
    for diff_id, layer in zip(config.diff_ids, layers, strict=True):
        if since and not files.has(blob_path(layer.digest)):
            _require(ws, session, diff_id, since)
            continue
        ingest_layer(ws, session, files, layer, diff_id)
    return config


def _require(ws: Workspace, session: Session, diff_id: Digest, since: str) -> None:
    """Keep a layer that an archive leaves out. Raises: MinidockError that names whose it is."""
    session.pin([diff_id, ws.store.layers.blob_of(diff_id)])
    if not ws.store.blobs.has(ws.store.layers.blob_of(diff_id)):
        raise MinidockError(
            f"the archive holds only what was added since {since}, of which this store lacks layer {diff_id.short}",
            hint="load that image first, or save without --since",
        )


def _answers(item: Descriptor, tag: str, digest: str) -> bool:
    if digest:
        return str(item.digest) == digest
    return not tag or item.annotations.get(REF_NAME, "").rpartition(":")[2] == tag
