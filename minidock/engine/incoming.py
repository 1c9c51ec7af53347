"""What every image goes through that comes from outside, by an archive or a registry, before anything names it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import BinaryIO

from minidock.core import mediatype
from minidock.core.config import ImageConfig
from minidock.core.descriptor import Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.platform import Platform
from minidock.engine.decompress import Plain, decompressed
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt, MinidockError, StorageFull, StoreError, TarError
from minidock.store.session import Session

_CHUNK = 1 << 20
_UNKNOWN = "unknown"  # the platform of what is no image: attestations


def choose(offered: Sequence[Descriptor], wanted: Platform, complaint: str) -> Descriptor:
    """Return the entry of an index that suits a platform best. Raises: MinidockError, ``complaint PLATFORM``."""
    platforms: dict[Platform, Descriptor] = {}
    for item in offered:
        members = item.other.get("platform")
        if isinstance(members, dict) and members.get("os") != _UNKNOWN:
            system, architecture, variant = (str(members.get(key) or "") for key in ("os", "architecture", "variant"))
            platforms.setdefault(Platform(system, architecture, variant), item)
    chosen = wanted.choose(platforms)
    if chosen is not None:
        return platforms[chosen]
    if len(offered) == 1 and not isinstance(offered[0].other.get("platform"), dict):
        return offered[0]
    raise MinidockError(f"{complaint} {wanted}")


def check_layers(config: ImageConfig, layers: Sequence[Descriptor]) -> None:
    """Make sure that a manifest and its config speak of the same layers. Raises: StoreError."""
    if len(layers) != len(config.diff_ids):
        raise StoreError(f"{len(layers)} layers in the manifest, but {len(config.diff_ids)} in the config")
    for layer in layers:
        if layer.media_type not in mediatype.ALL_LAYERS:
            raise StoreError(f"a layer of the kind {layer.media_type!r} is not supported")


def ingest(
    ws: Workspace,
    session: Session,
    stream: BinaryIO,
    diff_id: Digest,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Store a layer, compressed or not; ``watch`` is called after every MiB, and may raise.

    Raises: TarError, BlobCorrupt, StorageFull where it would not fit.
    """
    room, full = _room(ws), StorageFull(ws.store.layout.root)
    layer = ws.store.layers.ingest(session, _Bounded(decompressed(stream), room, full, watch), room)
    if layer.diff_id != diff_id:
        raise BlobCorrupt(str(diff_id), layer.diff_id)


def check_content(ws: Workspace, stream: BinaryIO, diff_id: Digest, watch: Callable[[], None]) -> None:
    """Make sure that a layer that came is another form of one that is here. Raises: TarError, BlobCorrupt."""
    size = os.path.getsize(ws.store.layout.blob(diff_id))
    plain = _Bounded(decompressed(stream), size, TarError(f"the layer is not {diff_id}: it is larger"), watch)
    found = sha256()
    while chunk := plain.read(_CHUNK):
        found.update(chunk)
    if found.hexdigest() != diff_id.hex:
        raise BlobCorrupt(str(diff_id), Digest(found.hexdigest()))


def known_layers(ws: Workspace) -> set[tuple[Digest, Digest]]:
    """Return which digest of a layer belongs to which diff_id, of all images: each was compared when it came."""
    known: set[tuple[Digest, Digest]] = set()
    for item in ws.store.images.list():
        image_id = config_digest(item)
        try:
            manifest = Manifest.from_bytes(ws.store.blobs.read(item.digest))
            diff_ids = ImageConfig.from_bytes(ws.store.blobs.read(image_id)).diff_ids if image_id else ()
        except StoreError:  # gone meanwhile, or another program's
            continue
        if len(diff_ids) == len(manifest.layers):
            known.update(zip((layer.digest for layer in manifest.layers), diff_ids, strict=True))
    return known


def _room(ws: Workspace) -> int:
    """Return how many bytes there is room for in the store; what compression can explain `decompressed` knows."""
    free = os.statvfs(ws.store.layout.root)
    return free.f_bavail * free.f_frsize


class _Bounded:
    """A stream that ends in ``problem`` where it would have more than ``limit`` bytes.

    ``watch`` is called at its begin and after every MiB, which costs nothing where reads are small.
    """

    def __init__(self, inner: Plain, limit: int, problem: MinidockError, watch: Callable[[], None]) -> None:
        self._inner = inner
        self._left = limit
        self._problem = problem
        self._watch = watch
        self._unwatched = _CHUNK

    def read(self, size: int, /) -> bytes:
        if self._unwatched >= _CHUNK:
            self._unwatched = 0
            self._watch()
        data = self._inner.read(size)
        self._unwatched += len(data)
        self._left -= len(data)
        if self._left < 0:
            raise self._problem
        return data
