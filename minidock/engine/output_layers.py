"""Layers of an archive that are to be packed: `--output type=oci|docker,compression=…`.

The members of an archive are sorted by digest and their sizes stand before them, so that layers are packed first, into
temporary files of the store. What came packed from elsewhere goes as it came, unless ``force-compression`` is said.
Source: BuildKit, util/compression and exporter/containerimage.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from types import TracebackType
from typing import Self

from minidock.core.descriptor import Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.packing import Compression, as_layer, preferred
from minidock.engine.pack import read_blob
from minidock.engine.packing import PackedBlob
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt
from minidock.store.session import Session

_CHUNK = 1 << 20


class PackedLayers:
    """Packed layers, in files that are gone when the context manager ends."""

    def __init__(self, ws: Workspace, session: Session, wanted: Compression) -> None:
        self._ws = ws
        self._session = session
        self._wanted = wanted
        self._files: dict[Digest, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for path in self._files.values():
            self._session.discard(path)

    def packed(self, manifest: Manifest, diff_ids: tuple[Digest, ...]) -> Manifest:
        """Return a manifest of the same image with packed layers. Raises: BlobNotFound, BlobCorrupt."""
        found: dict[Digest, Descriptor] = {}
        for diff_id in diff_ids:
            if diff_id not in found:
                found[diff_id] = self._layer(diff_id)
        return manifest.with_layers(tuple(found[diff_id] for diff_id in diff_ids))

    def read(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes of a layer. Raises: BlobNotFound, BlobCorrupt instead of the end of what is damaged."""
        path = self._files.get(digest)
        if path is None:
            yield from read_blob(self._ws, digest)
            return
        content = sha256()
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                content.update(chunk)
                yield chunk
        if content.hexdigest() != digest.hex:
            raise BlobCorrupt(digest, Digest(content.hexdigest()))

    def _layer(self, diff_id: Digest) -> Descriptor:
        blobs = self._ws.store.blobs
        for form in preferred(self._ws.store.forms.get(diff_id), self._wanted):
            self._session.pin([form.blob.digest])
            if blobs.has(form.blob.digest):
                return as_layer(form.blob)
        return self._pack(self._ws.store.layers.get(diff_id, self._session).blob.digest)

    def _pack(self, tar: Digest) -> Descriptor:
        blob, path, disk = PackedBlob(self._ws, tar, self._wanted), self._session.temporary(), self._ws.store.disk
        try:
            fd = disk.open_new(path)
            try:
                for chunk in blob.chunks():
                    disk.write(fd, chunk)
            finally:
                os.close(fd)
        except BaseException:
            self._session.discard(path)
            raise
        self._files[blob.descriptor.digest] = path
        return blob.descriptor
