"""Images as one archive: an OCI layout, for docker with the manifest.json that its older versions read too.

The same images give the same bytes: members have a fixed order, no owner and the time 0. Layers are copied as they are
stored, and compared with their digests on the way.
Source: OCI image-spec, image-layout.md; moby, daemon/internal/image/tarexport/save.go; containerd, archive/exporter.go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import BinaryIO, Protocol

from minidock.core import mediatype
from minidock.core.canonical import dumps
from minidock.core.config import ImageConfig
from minidock.core.descriptor import REF_NAME, Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.entries import DIRECTORY, FILE, Entry
from minidock.core.image_index import ImageIndex
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.engine import events, images
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt, MinidockError, NoSuchImage
from minidock.store.tar import END, header, padding

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


class Sink(Protocol):
    """Takes the members of an archive, in order."""

    def directory(self, path: str) -> None:
        """Add a directory."""
        ...

    def file(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """Add a file of ``size`` bytes."""
        ...

    def close(self) -> None:
        """Add what ends the archive."""
        ...


class TarSink:
    """A tar, written from the start to the end."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def directory(self, path: str) -> None:
        """Add a directory."""
        self._write(header(Entry(path, DIRECTORY, 0o755)))

    def file(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """Add a file."""
        self._write(header(Entry(path, FILE, 0o644, size=size)))
        for chunk in chunks:
            self._write(chunk)
        self._write(padding(size))

    def close(self) -> None:
        """End the tar."""
        self._write(END)


class DirectorySink:
    """A directory of this machine; blobs that are there already stay."""

    def __init__(self, root: str) -> None:
        self._root = root
        os.makedirs(root, exist_ok=True)

    def directory(self, path: str) -> None:
        """Make a directory."""
        os.makedirs(f"{self._root}/{path}", exist_ok=True)

    def file(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """Write a file, whole or not at all."""
        with replacing(f"{self._root}/{path}") as out:
            for chunk in chunks:
                out.write(chunk)

    def close(self) -> None:
        """Nothing ends it."""


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of ``path`` at the end; a device or pipe is written directly.

    Raises: MinidockError if there can be no file.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as direct:
            yield direct
        return
    path = os.path.realpath(path)
    temporary = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{os.urandom(4).hex()}"
    try:
        out = open(temporary, "xb")  # noqa: SIM115
    except OSError as error:
        raise MinidockError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    try:
        with out:
            yield out
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def told(write: Callable[[bytes], object], name: str) -> Callable[[bytes], object]:
    """Return a ``write`` whose failures name what was written to, not the store. A reader that has gone is none."""

    def checked(data: bytes) -> object:
        try:
            return write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise MinidockError(f"write {name}: {(error.strerror or str(error)).lower()}") from error

    return checked


def check_output(path: str, failure: str) -> None:
    """Make sure that a file can be written at ``path``. Raises: MinidockError, docker's words after ``failure``."""
    directory = os.path.dirname(path)
    if directory and not os.path.isdir(directory):
        raise MinidockError(f"{failure}: invalid output path: stat {directory}: no such file or directory")
    if os.path.isdir(path):
        raise MinidockError(f"{failure}: cannot write to a directory")


@dataclass(frozen=True, slots=True)
class Since:
    """Images that whoever gets an archive has already: their names for the user, and their layers."""

    names: tuple[str, ...] = ()
    diff_ids: frozenset[Digest] = frozenset()


def pack(
    ws: Workspace,
    packed: Sequence[Packed],
    sink: Sink,
    *,
    is_for_docker: bool,
    since: Since = Since(),
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


def save(
    ws: Workspace, names: Sequence[str], sink: Sink, platforms: Sequence[Platform] = (), *, since: Sequence[str] = ()
) -> None:
    """Write the images that references and IDs name as docker's archive.

    A repository without a tag means all of its tags; what is named by its ID has no name in the archive.
    With ``platforms`` an image must be for one of them. The layers of the images ``since`` are left out: who loads the
    archive needs to have those. Raises: MinidockError in docker's words.
    """
    known = [images.find(ws, text) for text in since]
    shown = tuple(f"{text} ({image.image_id.short})" for text, image in zip(since, known, strict=True))
    others = Since(shown, frozenset(diff_id for image in known for diff_id in image.config.diff_ids))
    found: dict[Digest, tuple[str, ...]] = {}
    for text in names:
        for image, name in _named(ws, text):
            tags = found.get(image.image_id, ())
            found[image.image_id] = tags if not name or name in tags else (*tags, name)
    with ws.store.session() as session:
        packed = []
        for image_id, tags in found.items():
            image = images.load(ws, image_id)
            require_platform(image.config, platforms, ", ".join(tags) or str(image_id))
            session.pin([image_id, *image.config.diff_ids])
            data, manifest = images.stored(ws, image)
            session.pin(layer.digest for layer in manifest.layers)
            packed.append(Packed(data, manifest.as_oci(), tags))  # skopeo takes no other in a layout
        pack(ws, packed, sink, is_for_docker=True, since=others)
    for image_id in found:
        events.tell_image(ws, "save", image_id)


def require_platform(config: ImageConfig, platforms: Sequence[Platform], shown: str) -> None:
    """Refuse an image that is for none of the platforms. Raises: MinidockError in docker's words."""
    offered = Platform(config.os, config.architecture, config.variant)
    if platforms and not any(wanted.matches(offered) for wanted in platforms):
        wanted = ", ".join(map(str, platforms))
        raise MinidockError(
            f"image with reference {shown} was found but does not provide the specified platform ({wanted})"
        )


def _named(ws: Workspace, text: str) -> list[tuple[images.Image, str]]:
    try:
        image = images.find(ws, text)
    except NoSuchImage as error:
        tags = [] if ":" in text.rpartition("/")[2] else _tags(ws, text)
        if not tags:
            raise MinidockError(f"No such image: {text}", hint="see `minidock image ls`") from error
        return [(images.find(ws, name), name) for name in tags]
    if images.is_id(ws, text):
        return [(image, "")]
    name = images.familiar(text)
    if text in (name, str(Reference.parse(name))):
        return [(image, name)]
    return [(images.find(ws, tag), tag) for tag in _tags(ws, text)] or [(image, name)]


def _tags(ws: Workspace, text: str) -> list[str]:
    repository = images.familiar(text).rpartition(":")[0]
    known = [item.annotations.get(REF_NAME, "") for item in ws.store.images.list()]
    return sorted(name for name in known if name.rpartition(":")[0] == repository)
