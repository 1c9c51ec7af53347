"""Writes one layer: its tar, and in passing the entries of its index."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

from xxhash import xxh3_128

from minidock.core import mediatype
from minidock.core.descriptor import Descriptor
from minidock.core.entries import FILE, Entry
from minidock.errors import MinidockError
from minidock.store import tar
from minidock.store.blobs import BlobWriter
from minidock.store.content import Stretch
from minidock.store.session import Session
from minidock.store.writer import Disk

if TYPE_CHECKING:
    from minidock.store.layers import Layer, Layers

_CHUNK = 1 << 20


class ContentChanged(MinidockError):
    """A file has other content than when it was looked at before."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} has changed while it was read")
        self.path = path


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
