"""Images from an archive or an OCI layout: every byte is compared with its digest before a name leads to it.

An archive that is no plain file is copied whole into the session's temporary directory first, since its index may stand
at its end; nothing of it is unpacked. What says one thing twice must say the same (layers, history, sizes).
Source: OCI image-spec, image-layout.md; moby, daemon/internal/image/tarexport/load.go.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeGuard

from minidock.core import mediatype
from minidock.core.config import ImageConfig
from minidock.core.descriptor import REF_NAME, Descriptor, Index, Manifest, check_spelling, load_object, parse_list
from minidock.core.digest import Digest
from minidock.core.platform import Platform
from minidock.engine import events, images
from minidock.engine.archive_files import (
    ArchiveFiles,
    Files,
    LayoutFiles,
    blob_path,
    ingest_layer,
    ingest_tar,
    read_document,
)
from minidock.engine.decompress import decompressed, is_compressed
from minidock.engine.definition import this_platform
from minidock.engine.images import Image
from minidock.engine.incoming import check_layers, choose
from minidock.engine.save import FULL_NAME, INDEX_FILE, LAYOUT_FILE, MANIFEST_FILE, SINCE, require_platform
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidReference, InvalidRequest, MinidockError, NoSuchImage, StoreError
from minidock.store import tar
from minidock.store.session import Session

_CHUNK = 1 << 20
_DEEPEST = 4  # an index in an index …
_MOST_PLATFORMS = 100
_ROW = ("Config", "RepoTags", "Layers")
_DIGEST_NAME = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded, under one name or (empty) none; ``replaced`` is whose name it was before."""

    image_id: Digest
    name: str = ""
    replaced: Digest | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """An image in an archive, its layers stored and compared; ``others``: configs of its other platforms there."""

    config: ImageConfig
    data: bytes
    names: tuple[str, ...]
    manifest: Manifest | None = None
    others: tuple[Digest, ...] = ()


def load(ws: Workspace, stream: BinaryIO, platforms: Sequence[Platform] = ()) -> tuple[Loaded, ...]:
    """Store the images of an archive, plain or compressed, and return them; names are given last, when all is stored.

    With ``platforms`` every image must be for one of them.

    Raises: MinidockError for an archive that is damaged, hostile, or holds no images.
    """
    with ws.store.session() as session:
        files = ArchiveFiles(_in_place(stream) or _spooled(ws, session, stream))
        if files.has(LAYOUT_FILE) and files.has(INDEX_FILE):
            found = _of_layout(ws, session, files)
            _check_agreement(files, found)
        elif files.has(MANIFEST_FILE):
            found = list(_of_docker(ws, session, files))
        else:
            raise MinidockError(
                "the archive holds no images: neither manifest.json nor index.json is in it",
                hint="the tar of a root file system is for `minidock import`",
            )
        for image in found:
            require_platform(image.config, platforms, ", ".join(image.names) or str(Digest.sha256(image.data)))
        return tuple(item for image in found for item in _publish(ws, session, image))


def _publish(ws: Workspace, session: Session, image: _Found) -> Iterator[Loaded]:
    image_id = Digest.sha256(image.data)
    before = {name: _holder(ws, name) for name in image.names}
    annotations = image.manifest.annotations if image.manifest else {}
    images.publish(ws, session, image.config, image.names, data=image.data, annotations=annotations)
    events.tell_image(ws, "load", image_id)
    for name, holder in before.items():
        yield Loaded(image_id, name, None if holder == image_id else holder)
    if not image.names:
        yield Loaded(image_id)


def _holder(ws: Workspace, name: str) -> Digest | None:
    try:
        return images.find(ws, name).image_id
    except NoSuchImage:
        return None


def _in_place(stream: BinaryIO) -> str:
    """Return a path of the archive itself if that is a plain tar in a file that can be read again, else nothing."""
    try:
        fd = stream.fileno()
        if not stat.S_ISREG(os.fstat(fd).st_mode) or os.lseek(fd, 0, os.SEEK_CUR) or stream.tell():
            return ""
    except (OSError, io.UnsupportedOperation):
        return ""
    head = os.pread(fd, tar.BLOCK_SIZE, 0)
    return f"/proc/self/fd/{fd}" if len(head) == tar.BLOCK_SIZE and not is_compressed(head) else ""


def _spooled(ws: Workspace, session: Session, stream: BinaryIO) -> str:
    path = session.temporary()
    plain = decompressed(stream)
    fd, size = ws.store.disk.open_new(path), 0
    try:
        while chunk := plain.read(_CHUNK):
            ws.store.disk.write(fd, chunk)
            size += len(chunk)
    finally:
        os.close(fd)
    if size < tar.BLOCK_SIZE:
        raise MinidockError("unexpected EOF: not an archive of images")
    return path


# --- OCI layouts


def _manifests(files: Files) -> Sequence[tuple[Descriptor, tuple[str, ...]]]:
    """Return the descriptors of index.json, each once with all of its names."""
    found: dict[Digest, tuple[Descriptor, tuple[str, ...]]] = {}
    for item in Index.from_bytes(read_document(files, INDEX_FILE)).manifests:
        names = found.get(item.digest, (item, ()))[1]
        found[item.digest] = (item, (*names, *_names(item)))
    return tuple(found.values())


def _of_layout(ws: Workspace, session: Session, files: Files) -> list[_Found]:
    told = Index.from_bytes(read_document(files, INDEX_FILE)).other.get("annotations")
    since = str(told.get(SINCE) or "") if isinstance(told, dict) else ""
    return [_image(ws, session, files, item, since) for item in _manifests(files)]


def _check_agreement(files: Files, found: Sequence[_Found]) -> None:
    """Make sure that who goes by manifest.json finds the same images, perhaps for another platform.

    Docker lists one platform of an image there, that of the machine that saved it. Raises: StoreError.
    """
    if not files.has(MANIFEST_FILE):
        return
    told = {name[1]: tags for path, tags, _ in _rows(files) if (name := _DIGEST_NAME.fullmatch(path))}
    holders = {_familiar(tag): digest for digest, tags in told.items() for tag in tags}
    for image in found:
        same = {item.hex for item in (Digest.sha256(image.data), *image.others)}
        if same.isdisjoint(told) or any(name in holders and holders[name] not in same for name in image.names):
            raise StoreError("index.json and manifest.json of the archive tell of different images")


def _names(item: Descriptor) -> tuple[str, ...]:
    text = item.annotations.get(FULL_NAME) or item.annotations.get(REF_NAME, "")
    if "@" in text or (FULL_NAME not in item.annotations and not re.search("[/:]", text)):
        return ()  # a tag alone names nothing, and a digest is what the image is, whatever somebody wrote there
    return (_familiar(text),) if text else ()


def _familiar(name: str) -> str:
    try:
        return images.new_name(name)
    except (InvalidReference, InvalidRequest) as error:
        raise MinidockError(f"invalid name of an image in the archive: {error}") from error


def _image(
    ws: Workspace, session: Session, files: Files, named: tuple[Descriptor, tuple[str, ...]], since: str = ""
) -> _Found:
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
        descriptor = offered[0] if is_only else choose(offered, this_platform(), "the archive holds no image for")
        others = _configs(files, offered)
        data = read_document(files, blob_path(descriptor.digest), descriptor.digest, descriptor.size)
    manifest = Manifest.from_bytes(data)
    config = read_document(files, blob_path(manifest.config.digest), manifest.config.digest, manifest.config.size)
    return _Found(_stored(ws, session, files, config, manifest.layers, since), config, names, manifest, others)


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


def _answers(item: Descriptor, tag: str, digest: str) -> bool:
    if digest:
        return str(item.digest) == digest
    return not tag or item.annotations.get(REF_NAME, "").rpartition(":")[2] == tag


# --- docker's archives


def _rows(files: Files) -> list[tuple[str, list[str], list[str]]]:
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


def _of_docker(ws: Workspace, session: Session, files: Files) -> Iterator[_Found]:
    for path, tags, layers in _rows(files):
        name = _DIGEST_NAME.fullmatch(path)
        data = read_document(files, path, Digest(name[1]) if name else None)
        config = ImageConfig.from_bytes(data)
        if len(layers) != len(config.diff_ids):
            raise StoreError(f"{len(layers)} layers in manifest.json, but {len(config.diff_ids)} in the config")
        for diff_id, layer in zip(config.diff_ids, layers, strict=True):
            with files.open(layer) as section:
                ingest_tar(ws, session, section, diff_id)
        yield _Found(config, data, tuple(dict.fromkeys(_familiar(tag) for tag in tags)))
