"""Layers: a tar in the blobs, and its entry index, which is derived from the tar and rebuilt when it is lost.

An index file is one line of JSON (what the layer is, and the xxh3 of the rest) followed by the compressed entries.
"""

from __future__ import annotations

import gc
import json
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from xxhash import xxh3_128

from minidock.core import mediatype
from minidock.core.canonical import dumps
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.entries import (
    FILE,
    Entry,
    Tree,
    content_size,
    has_complete_parents,
)
from minidock.errors import BlobCorrupt, InvalidDigest, MinidockError, StoreError, TarError
from minidock.store import tar
from minidock.store.blobs import Blobs, BlobWriter
from minidock.store.content import Stretch, stretch_of
from minidock.store.layout import Layout
from minidock.store.members import read_entries
from minidock.store.session import Session
from minidock.store.tar_reader import Source
from minidock.store.writer import Disk

# What minidock 0 could read is written as it was: rows without the last field, which nearly no layer needs.
_WITHOUT_PARTS, _WITH_PARTS = _VERSIONS = (1, 2)
_MAX_KNOWN = 200_000  # entries kept in memory, of some 500 bytes each
_MAX_HEAD = 64 << 10
_USUAL_HEAD = 2 << 10
_CHUNK = 1 << 20
_XATTRS, _PARTS = Entry._fields.index("xattrs"), Entry._fields.index("parts")

# What a container needs to know of an image to start stands in the head of an index: the rest is 100 times as long.
LANDMARKS = frozenset({"", "etc", "etc/passwd", "etc/group"})


class ContentChanged(MinidockError):
    """A file has other content than when it was looked at before."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} has changed while it was read")
        self.path = path


@dataclass(frozen=True, slots=True)
class Layer:
    """What is known of a layer without its entries.

    ``size`` is docker's: bytes of content. ``blob`` is the tar as it is stored, perhaps compressed.
    """

    diff_id: Digest
    blob: Descriptor
    size: int
    has_complete_parents: bool


class LayerWriter:
    """Writes one layer: entries in the order they are to stand in the tar (sorted by path), then `finish`.

    Holes in files are filled with zeros.
    """

    def __init__(self, session: Session, disk: Disk) -> None:
        self._blob = BlobWriter(session, disk)
        self._entries: list[Entry] = []

    def add(self, entry: Entry, content: bytes = b"") -> None:
        """Append an entry; ``content`` for a regular file whose bytes are at hand."""
        if entry.kind == FILE:
            entry = entry._replace(
                size=len(content), sha256=sha256(content).hexdigest(), xxh3=xxh3_128(content).hexdigest()
            )
        self._append(entry)
        if content:
            self._blob.write(content)
            self._blob.write(tar.padding(len(content)))

    def add_file(self, entry: Entry, fd: int, start: int | None = None) -> None:
        """Append a regular file: its content at ``start`` of ``fd``; all of ``fd`` if that is None.

        Known digests are checked on the way, missing ones are filled in. Raises: ContentChanged.
        """
        if entry.size <= _CHUNK:
            self._add_small(entry, fd, start)
            return
        slow = None if entry.sha256 else sha256()
        fast = xxh3_128()
        position = len(self._entries)
        self._append(entry)
        size = 0
        for chunk, _ in Stretch(fd, start or 0, entry.size, entry.parts).chunks():
            fast.update(chunk)
            if slow is not None:
                slow.update(chunk)
            self._blob.write(chunk)
            size += len(chunk)
        if size < entry.size:
            raise ContentChanged(entry.path)
        self._blob.write(tar.padding(entry.size))
        self._check(entry, fast.hexdigest(), start is None and bool(os.pread(fd, 1, size)))
        known = self._entries[position]
        self._entries[position] = known._replace(
            xxh3=fast.hexdigest(), sha256=entry.sha256 if slow is None else slow.hexdigest()
        )

    def _add_small(self, entry: Entry, fd: int, start: int | None) -> None:
        # One byte more shows whether a whole file has grown.
        size = entry.size + (start is None)
        content = Stretch(fd, start or 0, size, entry.parts).read(0, size)
        fast = xxh3_128(content).hexdigest()
        self._check(entry, fast, len(content) != entry.size)
        self._append(entry._replace(xxh3=fast, sha256=entry.sha256 or sha256(content).hexdigest()))
        self._blob.write(content)
        self._blob.write(tar.padding(entry.size))

    def _check(self, entry: Entry, found: str, has_other_size: bool) -> None:
        if has_other_size or (entry.xxh3 and entry.xxh3 != found):
            raise ContentChanged(entry.path)

    def _append(self, entry: Entry) -> None:
        self._blob.write(tar.header(entry))
        offset = self._blob.size if entry.kind == FILE else 0
        self._entries.append(entry._replace(offset=offset, parts=()))

    def finish(self, layers: Layers, session: Session) -> Layer:
        """Publish tar and index; return the layer."""
        self._blob.write(tar.END)
        size = self._blob.size
        diff_id = self._blob.publish(layers.layout)
        blob = Descriptor(mediatype.LAYER, diff_id, size)
        return layers.put_index(session, diff_id, blob, self._entries)

    def discard(self) -> None:
        """Give up."""
        self._blob.discard()


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
        layer = Layer(diff_id, blob, content_size(entries), has_complete_parents(entries))
        has_parts = any(entry.parts for entry in entries)
        rows = [tuple(entry) if has_parts else entry[:_PARTS] for entry in entries]
        body = zlib.compress(dumps(rows), 1)
        head = {
            "version": _WITH_PARTS if has_parts else _WITHOUT_PARTS,
            "diff_id": str(diff_id),
            "blob": blob.to_json(),
            "size": layer.size,
            "complete": layer.has_complete_parents,
            "landmarks": [row for row in rows if row[0] in LANDMARKS],
            "xxh3": xxh3_128(body).hexdigest(),
        }
        session.replace(self.layout.layer(diff_id), dumps(head) + b"\n" + body)
        self._heads.pop(diff_id, None)
        return layer

    def ingest(self, session: Session, stream: Source, room: int | None = None) -> Layer:
        """Store an uncompressed tar as a layer, byte for byte, reading it once.

        ``room`` is how many bytes holes in files may have. Raises: TarError.
        """
        tee = _Tee(stream, BlobWriter(session, self._disk))
        try:
            entries = read_entries(tee, room)
        except BaseException:
            tee.blob.discard()
            raise
        size = tee.blob.size
        diff_id = tee.blob.publish(self.layout)
        return self.put_index(session, diff_id, Descriptor(mediatype.LAYER, diff_id, size), entries)

    def get(self, diff_id: Digest, session: Session | None = None) -> Layer:
        """Return what is known of a layer. Raises: BlobNotFound if neither index nor tar is there."""
        return self._load(diff_id, session)[0]

    def entries(self, diff_id: Digest, session: Session | None = None) -> list[Entry]:
        """Return the entries of a layer in the order of its tar. Raises: BlobNotFound."""
        if diff_id not in self._known:
            _, body = self._load(diff_id, session)
            found = _read_entries(body) if body else self._derive(diff_id)
            if sum(map(len, self._known.values())) > _MAX_KNOWN:
                self._known.clear()
            self._known[diff_id] = found
        return list(self._known[diff_id])

    def landmarks(self, diff_id: Digest) -> list[Entry] | None:
        """Return those entries of a layer that have the paths `LANDMARKS`, or None if only all of them would tell."""
        try:
            with open(self.layout.layer(diff_id), "rb") as file:
                head = json.loads(file.readline(_MAX_HEAD))
            if head["version"] not in _VERSIONS or head["blob"]["digest"] != str(diff_id):
                return None  # the tar is compressed: nothing in it can be read at its place
            return [_entry(row) for row in head["landmarks"]]
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
            if head["version"] in _VERSIONS and xxh3_128(body).hexdigest() == head["xxh3"]:
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


def _read_entries(body: bytes) -> list[Entry]:
    """Return the entries of an index; looking for circles of garbage meanwhile would take as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return [_entry(row) for row in json.loads(zlib.decompress(body))]
    finally:
        if was_enabled:
            gc.enable()


def _entry(row: list[Any]) -> Entry:
    row[_XATTRS] = tuple((name, value) for name, value in row[_XATTRS]) if row[_XATTRS] else ()
    if len(row) > _PARTS:
        row[_PARTS] = tuple((start, size) for start, size in row[_PARTS])
    else:
        row.append(())
    return Entry._make(row)


def _place(entry: Entry) -> tuple[object, ...]:
    """Return what names a content: where two layers agree in it, the bytes are equal."""
    return entry.xxh3, entry.offset, entry.parts


class Contents:
    """The tars of a stack of layers, for reading the content of files of its merged tree; close it after use.

    Of all files, or of those among the ``entries`` of each layer.
    """

    def __init__(
        self, blobs: Blobs, layers: Layers, diff_ids: Sequence[Digest], entries: Sequence[Sequence[Entry]] | None = None
    ) -> None:
        self._descriptors: list[int] = []
        self._positions: dict[tuple[object, ...], int] = {}
        for position, diff_id in enumerate(diff_ids):
            self._descriptors.append(blobs.open(layers.get(diff_id).blob.digest))
            for entry in layers.entries(diff_id) if entries is None else entries[position]:
                if entry.kind == FILE:
                    self._positions[_place(entry)] = position

    def layer_of(self, entry: Entry) -> int:
        """Return the position in the stack of the layer that holds a file's content."""
        return self._positions[_place(entry)]

    def descriptor(self, entry: Entry) -> int:
        """Return the open tar in which a file's content stands at ``entry.offset``."""
        return self._descriptors[self.layer_of(entry)]

    def stretch(self, entry: Entry) -> Stretch:
        """Return the content of a file."""
        return stretch_of(self.descriptor(entry), entry)

    def read(self, entry: Entry, limit: int = 10 << 20) -> bytes:
        """Return the content of a small file of the tree. Raises: TarError if it has more than ``limit`` bytes."""
        if entry.size > limit:
            raise TarError(f"/{entry.path} is larger than {limit} bytes")
        return self.stretch(entry).read(0, entry.size)

    def close(self) -> None:
        """Close the tars."""
        for fd in self._descriptors:
            os.close(fd)
        self._descriptors.clear()

    def __enter__(self) -> Contents:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
