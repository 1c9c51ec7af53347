"""Images from an archive or an OCI layout: every byte is compared with its digest before a name leads to it.

An archive that is no plain file is copied whole into the session's temporary directory first, since its index may stand
at its end; nothing of it is unpacked. What says one thing twice must say the same (layers, history, sizes).
Source: OCI image-spec, image-layout.md; moby, daemon/internal/image/tarexport/load.go.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Protocol

from minidock.core import mediatype
from minidock.core.config import ImageConfig
from minidock.core.descriptor import REF_NAME, Descriptor, Index, Manifest, load_object
from minidock.core.digest import Digest
from minidock.core.entries import FILE, HARDLINK, SYMLINK, Entry, Tree
from minidock.core.platform import Platform
from minidock.engine import images
from minidock.engine.decompress import decompressed, is_compressed
from minidock.engine.definition import this_platform
from minidock.engine.images import Image
from minidock.engine.save import FULL_NAME, INDEX_FILE, LAYOUT_FILE, MANIFEST_FILE, SINCE, require_platform
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt, InvalidReference, MinidockError, NoSuchImage, StoreError, TarError
from minidock.store import tar
from minidock.store.session import Session

_MOST_MEMBERS = 200_000
_LARGEST_DOCUMENT = 4 << 20
_CHUNK = 1 << 20
_DEEPEST = 4  # an index in an index …
_DIGEST_NAME = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?")
_DOCKER_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_LAYERS = (
    *mediatype.LAYERS,
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded, under one name or (empty) none; ``replaced`` is whose name it was before."""

    image_id: Digest
    name: str = ""
    replaced: Digest | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """An image in an archive, its layers stored and compared."""

    config: ImageConfig
    data: bytes
    names: tuple[str, ...]
    manifest: Manifest | None = None


class Files(Protocol):
    """The files of an archive or directory."""

    def has(self, path: str) -> bool:
        """Whether there is a file."""
        ...

    def open(self, path: str) -> Section:
        """Return a file's content. Raises: MinidockError if it is missing, or no file."""
        ...


class Section(io.RawIOBase):
    """A part of a file as a stream; ``found`` is the digest of what was read. Closes ``fd``."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd, self._offset, self._left = fd, offset, size
        self._hash = sha256()
        self.size = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = os.pread(self._fd, min(len(buffer), self._left), self._offset)
        buffer[: len(data)] = data
        self._offset += len(data)
        self._left -= len(data)
        self._hash.update(data)
        return len(data)

    def drain(self) -> Digest:
        """Read the rest and return the digest of everything."""
        while self.read(_CHUNK):
            pass
        return Digest(self._hash.hexdigest())

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


class _Archive:
    """The members of an uncompressed tar."""

    def __init__(self, path: str) -> None:
        self._path = path
        entries: dict[str, Entry] = {}
        with open(path, "rb") as file:
            for entry in tar.Reader(file):
                if len(entries) >= _MOST_MEMBERS:
                    raise TarError(f"more than {_MOST_MEMBERS} members in an archive of images")
                if entry.kind == HARDLINK:
                    entry = entry._replace(kind=SYMLINK, linkname=f"/{entry.linkname}")
                entries[entry.path] = entry
        self._tree = Tree({"": Entry("", "dir"), **entries})

    def has(self, path: str) -> bool:
        return self._tree.resolve(path) in self._tree

    def open(self, path: str) -> Section:
        entry = self._tree.get(self._tree.resolve(path))
        if entry is None or entry.kind != FILE:
            raise MinidockError(f"the archive holds no file {path}")
        return Section(os.open(self._path, os.O_RDONLY | os.O_CLOEXEC), entry.offset, entry.size)


class _Layout:
    """The files of a directory."""

    def __init__(self, root: str) -> None:
        self._root = root

    def has(self, path: str) -> bool:
        return os.path.isfile(f"{self._root}/{path}")

    def open(self, path: str) -> Section:
        try:
            fd = os.open(f"{self._root}/{path}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise MinidockError(f"{self._root}/{path}: {(error.strerror or '').lower()}") from error
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise MinidockError(f"{self._root}/{path}: not a file")
        return Section(fd, 0, status.st_size)


def load(ws: Workspace, stream: BinaryIO, platforms: Sequence[Platform] = ()) -> tuple[Loaded, ...]:
    """Store the images of an archive, plain or compressed, and return them; names are given last, when all is stored.

    With ``platforms`` every image must be for one of them.

    Raises: MinidockError for an archive that is damaged, hostile, or holds no images.
    """
    with ws.store.session() as session:
        files = _Archive(_in_place(stream) or _spooled(ws, session, stream))
        if files.has(LAYOUT_FILE) and files.has(INDEX_FILE):
            found = _of_layout(ws, session, files)
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


def _document(files: Files, path: str, digest: Digest | None = None, size: int | None = None) -> bytes:
    with files.open(path) as section:
        if section.size > _LARGEST_DOCUMENT or size not in (None, section.size):
            raise StoreError(f"{path} has {section.size} bytes, not {size or f'at most {_LARGEST_DOCUMENT}'}")
        data = section.readall()
    found = Digest.sha256(data)
    if digest not in (None, found):
        raise BlobCorrupt(str(digest), found)
    return data


def _blob(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


# --- OCI layouts


def _manifests(files: Files) -> Sequence[tuple[Descriptor, tuple[str, ...]]]:
    """Return the descriptors of index.json, each once with all of its names."""
    found: dict[Digest, tuple[Descriptor, tuple[str, ...]]] = {}
    for item in Index.from_bytes(_document(files, INDEX_FILE)).manifests:
        names = found.get(item.digest, (item, ()))[1]
        found[item.digest] = (item, (*names, *_names(item)))
    return tuple(found.values())


def _of_layout(ws: Workspace, session: Session, files: Files) -> list[_Found]:
    told = Index.from_bytes(_document(files, INDEX_FILE)).other.get("annotations")
    since = str(told.get(SINCE) or "") if isinstance(told, dict) else ""
    return [_image(ws, session, files, item, since) for item in _manifests(files)]


def _names(item: Descriptor) -> tuple[str, ...]:
    text = item.annotations.get(FULL_NAME) or item.annotations.get(REF_NAME, "")
    if FULL_NAME not in item.annotations and not re.search("[/:]", text):
        return ()  # a tag alone names nothing
    return (_familiar(text),) if text else ()


def _familiar(name: str) -> str:
    try:
        return images.familiar(name)
    except InvalidReference as error:
        raise MinidockError(f"invalid name of an image in the archive: {error}") from error


def _image(
    ws: Workspace, session: Session, files: Files, named: tuple[Descriptor, tuple[str, ...]], since: str = ""
) -> _Found:
    descriptor, names = named
    data = _document(files, _blob(descriptor.digest), descriptor.digest, descriptor.size)
    for _ in range(_DEEPEST):
        members = load_object(data, "image manifest")
        if members.get("mediaType", descriptor.media_type) != descriptor.media_type:
            raise StoreError(f"{members['mediaType']!r} in a manifest that is said to be {descriptor.media_type!r}")
        if "manifests" not in members or "layers" in members:
            break
        descriptor = _chosen(Index.from_bytes(data).manifests)
        data = _document(files, _blob(descriptor.digest), descriptor.digest, descriptor.size)
    manifest = Manifest.from_bytes(_as_oci(data))
    config = _document(files, _blob(manifest.config.digest), manifest.config.digest, manifest.config.size)
    return _Found(_stored(ws, session, files, config, manifest.layers, since), config, names, manifest)


def _as_oci(data: bytes) -> bytes:
    """Return a manifest whose media type is docker's as one of OCI: they say the same."""
    members = load_object(data, "image manifest")
    if members.get("mediaType") in _DOCKER_MANIFESTS:
        members["mediaType"] = mediatype.MANIFEST
    return json.dumps(members).encode()


def _chosen(offered: Sequence[Descriptor]) -> Descriptor:
    platforms = {}
    for item in offered:
        members = item.other.get("platform")
        if isinstance(members, dict) and members.get("os") != "unknown":
            system, architecture, variant = (str(members.get(key) or "") for key in ("os", "architecture", "variant"))
            platforms[Platform(system, architecture, variant)] = item
    chosen = this_platform().choose(platforms)
    if chosen is None and not (len(offered) == 1 and not platforms):
        raise MinidockError(f"the archive holds no image for {this_platform()}")
    return offered[0] if chosen is None else platforms[chosen]


def _stored(
    ws: Workspace, session: Session, files: Files, data: bytes, layers: Sequence[Descriptor], since: str
) -> ImageConfig:
    """Store the layers that the store does not have; return the config.

    An archive ``since`` other images leaves theirs out. Raises: MinidockError that names those if a layer is missing.
    """
    config = ImageConfig.from_bytes(data)
    if len(layers) != len(config.diff_ids):
        raise StoreError(f"{len(layers)} layers in the manifest, but {len(config.diff_ids)} in the config")
    for diff_id, layer in zip(config.diff_ids, layers, strict=True):
        if layer.media_type not in _LAYERS:
            raise StoreError(f"a layer of the kind {layer.media_type!r} is not supported")
        if since and not files.has(_blob(layer.digest)):
            _require(ws, session, diff_id, since)
            continue
        with files.open(_blob(layer.digest)) as section:
            if section.size != layer.size:
                raise StoreError(f"blob {layer.digest} has {section.size} bytes, not {layer.size}")
            _ingest(ws, session, section, diff_id)
            if section.drain() != layer.digest:
                raise BlobCorrupt(str(layer.digest), section.drain())
    return config


def _require(ws: Workspace, session: Session, diff_id: Digest, since: str) -> None:
    """Keep a layer that an archive leaves out. Raises: MinidockError that names whose it is."""
    session.pin([diff_id, ws.store.layers.blob_of(diff_id)])
    if not ws.store.blobs.has(ws.store.layers.blob_of(diff_id)):
        raise MinidockError(
            f"the archive holds only what was added since {since}, of which this store lacks layer {diff_id.short}",
            hint="load that image first, or save without --since",
        )


def _ingest(ws: Workspace, session: Session, section: Section, diff_id: Digest) -> None:
    session.pin([diff_id])
    if ws.store.blobs.has(diff_id):
        return
    buffered = io.BufferedReader(section)
    layer = ws.store.layers.ingest(session, decompressed(buffered))
    buffered.detach()  # or it would close the section, whose digest is still to be compared
    if layer.diff_id != diff_id:
        raise BlobCorrupt(str(diff_id), layer.diff_id)


def load_layout(ws: Workspace, session: Session, path: str, tag: str, digest: str) -> Image:
    """Store an image of an OCI layout on disk without a name; it is kept until the session ends.

    Without tag and digest it is the only one. Raises: MinidockError.
    """
    files = _Layout(path)
    if not files.has(LAYOUT_FILE):
        raise MinidockError(f"{path}: not an OCI layout: it has no file {LAYOUT_FILE}")
    offered = Index.from_bytes(_document(files, INDEX_FILE)).manifests
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


def _of_docker(ws: Workspace, session: Session, files: Files) -> Iterator[_Found]:
    try:
        listed = json.loads(_document(files, MANIFEST_FILE))
        rows = [(str(row["Config"]), list(row.get("RepoTags") or ()), list(row["Layers"])) for row in listed]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError("manifest.json of the archive is malformed") from error
    for path, tags, layers in rows:
        name = _DIGEST_NAME.fullmatch(path)
        data = _document(files, path, Digest(name[1]) if name else None)
        config = ImageConfig.from_bytes(data)
        if len(layers) != len(config.diff_ids):
            raise StoreError(f"{len(layers)} layers in manifest.json, but {len(config.diff_ids)} in the config")
        for diff_id, layer in zip(config.diff_ids, layers, strict=True):
            with files.open(str(layer)) as section:
                _ingest(ws, session, section, diff_id)
        yield _Found(config, data, tuple(dict.fromkeys(_familiar(str(tag)) for tag in tags)))
