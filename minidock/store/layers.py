"""Layers: a tar in the blobs, and its entry index, which is derived from the tar and rebuilt when it is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from hashlib import sha256

from xxhash import xxh3_128

from minidock.core import mediatype
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.entries import (
    Entry,
    Tree,
    content_size,
    has_complete_parents,
)
from minidock.errors import BlobCorrupt, InvalidDigest, StoreError
from minidock.store.blobs import Blobs, BlobWriter
from minidock.store.entry_rows import entries_of, unpacked
from minidock.store.layer_index import VERSIONS, write_index
from minidock.store.layer_writer import LayerWriter
from minidock.store.layout import Layout
from minidock.store.members import Entries, Listed, read_entries, spooled_entries
from minidock.store.session import Session
from minidock.store.tar_reader import Source
from minidock.store.writer import Disk

_MAX_KNOWN = 200_000  # entries kept in memory, of some 500 bytes each
_MAX_HEAD = 64 << 10
_USUAL_HEAD = 2 << 10
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """What is known of a layer without its entries.

    ``size`` is docker's: bytes of content. ``blob`` is the tar as it is stored, perhaps compressed.
    """

    diff_id: Digest
    blob: Descriptor
    size: int
    has_complete_parents: bool


class Layers:
    """The layers of a store."""

    def __init__(self, layout: Layout, disk: Disk, blobs: Blobs) -> None:
        self.layout = layout
        self._disk = disk
        self._blobs = blobs
        self._known: dict[Digest, list[Entry]] = {}  # they never change, and a build asks for them at every step
        self._heads: dict[Digest, tuple[int, Digest] | None] = {}

    def writer(self, session: Session) -> LayerWriter:
        """Return a writer of a new layer."""
        return LayerWriter(session, self._disk)

    def put_index(self, session: Session, diff_id: Digest, blob: Descriptor, entries: Sequence[Entry]) -> Layer:
        """Store the entry index of a layer and return the layer."""
        return self._put_index(session, diff_id, blob, Listed(entries))

    def _put_index(self, session: Session, diff_id: Digest, blob: Descriptor, entries: Entries) -> Layer:
        path = self.layout.layer(diff_id)
        size, is_complete = write_index(session, self._disk, path, diff_id, blob, entries)
        self._heads.pop(diff_id, None)
        return Layer(diff_id, blob, size, is_complete)

    def ingest(self, session: Session, stream: Source, room: int | None = None) -> Layer:
        """Store an uncompressed tar as a layer, byte for byte, reading it once.

        ``room`` is how many bytes holes in files may have. Raises: TarError.
        """
        tee = _Tee(stream, BlobWriter(session, self._disk))
        try:
            with spooled_entries(tee, room) as entries:
                size = tee.blob.size
                diff_id = tee.blob.publish(self.layout)
                return self._put_index(session, diff_id, Descriptor(mediatype.LAYER, diff_id, size), entries)
        except BaseException:
            tee.blob.discard()
            raise

    def get(self, diff_id: Digest, session: Session | None = None) -> Layer:
        """Return what is known of a layer. Raises: BlobNotFound if neither index nor tar is there."""
        return self._load(diff_id, session)[0]

    def entries(self, diff_id: Digest, session: Session | None = None) -> list[Entry]:
        """Return the entries of a layer in the order of its tar. Raises: BlobNotFound."""
        if diff_id not in self._known:
            _, body = self._load(diff_id, session)
            found = unpacked(body) if body else self._derive(diff_id)
            if sum(map(len, self._known.values())) > _MAX_KNOWN:
                self._known.clear()
            self._known[diff_id] = found
        return list(self._known[diff_id])

    def landmarks(self, diff_id: Digest) -> list[Entry] | None:
        """Return those entries of a layer that have the paths `LANDMARKS`, or None if only all of them would tell."""
        try:
            with open(self.layout.layer(diff_id), "rb") as file:
                head = json.loads(file.readline(_MAX_HEAD))
            if head["version"] not in VERSIONS or head["blob"]["digest"] != str(diff_id):
                return None  # the tar is compressed: nothing in it can be read at its place
            return entries_of(head["landmarks"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def blob_of(self, diff_id: Digest) -> Digest:
        """Return the digest of the blob that holds a layer's tar, without reading that; it need not be there."""
        head = self._head(diff_id)
        return diff_id if head is None else head[1]

    def size_of(self, diff_id: Digest) -> int:
        """Return the bytes of content of a layer without reading its entries. Raises: BlobNotFound."""
        head = self._head(diff_id)
        return self.get(diff_id).size if head is None else head[0]

    def _head(self, diff_id: Digest) -> tuple[int, Digest] | None:
        """Return what the head of an index says: size of content, and blob; None if it cannot be read."""
        if diff_id not in self._heads:
            self._heads[diff_id] = self._read_head(diff_id)
        return self._heads[diff_id]

    def _read_head(self, diff_id: Digest) -> tuple[int, Digest] | None:
        try:
            fd = os.open(self.layout.layer(diff_id), os.O_RDONLY | os.O_CLOEXEC)
            try:
                line, end, _ = os.read(fd, _USUAL_HEAD).partition(b"\n")
                line = line if end else os.pread(fd, _MAX_HEAD, 0).partition(b"\n")[0]
            finally:
                os.close(fd)
            head = json.loads(line)
            return int(head["size"]), Digest.parse(head["blob"]["digest"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, InvalidDigest):
            return None

    def tree(self, diff_ids: Iterable[Digest]) -> Tree:
        """Return the merged tree of a stack, base first."""
        return Tree.fold(self.entries(diff_id) for diff_id in diff_ids)

    def _load(self, diff_id: Digest, session: Session | None) -> tuple[Layer, bytes]:
        try:
            with open(self.layout.layer(diff_id), "rb") as file:
                head = json.loads(file.readline())
                body = file.read()
            if head["version"] in VERSIONS and xxh3_128(body).hexdigest() == head["xxh3"]:
                blob = Descriptor.from_json(head["blob"])
                return Layer(diff_id, blob, int(head["size"]), bool(head["complete"])), body
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, StoreError, InvalidDigest):
            pass  # damaged: the tar is the truth
        entries = self._derive(diff_id)
        blob = Descriptor(mediatype.LAYER, diff_id, os.stat(self.layout.blob(diff_id)).st_size)
        if session is not None:
            return self.put_index(session, diff_id, blob, entries), b""
        return Layer(diff_id, blob, content_size(entries), has_complete_parents(entries)), b""

    def _derive(self, diff_id: Digest) -> list[Entry]:
        fd = self._blobs.open(diff_id)
        with os.fdopen(fd, "rb") as file:
            tee = _Tee(file, None)
            entries = read_entries(tee)
            found = Digest(tee.hexdigest())
        if found != diff_id:
            raise BlobCorrupt(diff_id, found)
        return entries


class _Tee:
    """A source for the tar reader that passes every byte on to a blob, or into a digest if there is none."""

    def __init__(self, stream: Source, blob: BlobWriter | None) -> None:
        self._stream = stream
        self._hash = sha256()
        self._blob = blob

    @property
    def blob(self) -> BlobWriter:
        assert self._blob is not None
        return self._blob

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        if self._blob is not None:
            self._blob.write(data)
        else:
            self._hash.update(data)
        return data
