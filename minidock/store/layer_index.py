"""The file of an entry index: a line of JSON (what the layer is, xxh3 of the rest), then the compressed entries."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from xxhash import xxh3_128

from minidock.core.canonical import dumps
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.entries import Entry, content_size
from minidock.store.entry_rows import rows_of
from minidock.store.members import Entries
from minidock.store.session import Session
from minidock.store.writer import Disk

WITHOUT_PARTS, WITH_PARTS = VERSIONS = (1, 2)
# What a container needs to know of an image to start stands in the head of an index: the rest is 100 times as long.
LANDMARKS = frozenset({"", "etc", "etc/passwd", "etc/group"})
_USUAL = 200  # bytes of an entry as text, without its names and attributes
_AT_ONCE = 1 << 20  # bytes of text
_IN_MEMORY = 4 << 20  # bytes of compressed entries


def write_index(
    session: Session, disk: Disk, path: str, diff_id: Digest, blob: Descriptor, entries: Entries
) -> tuple[int, bool]:
    """Write the index of a layer; return its size (of content) and whether all parents are entries."""
    size, landmarks = 0, []
    is_complete = entries.has_complete_parents()
    with closing(_Body(session, disk)) as body:
        for chunk in _chunks(entries):
            rows = rows_of(chunk, has_parts=entries.has_parts)
            body.add(rows)
            size += content_size(chunk)
            landmarks += [row for row in rows if row[0] in LANDMARKS]
        head = {
            "version": WITH_PARTS if entries.has_parts else WITHOUT_PARTS,
            "diff_id": str(diff_id),
            "blob": blob.to_json(),
            "size": size,
            "complete": is_complete,
            "landmarks": landmarks,
            "xxh3": body.finish(),
        }
        body.publish(path, dumps(head) + b"\n")
    return size, is_complete


def _chunks(entries: Entries) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        chunk.append(entry)
        size += _USUAL + len(entry.path) + len(entry.linkname) + 16 * len(entry.parts)
        size += sum(len(value) for _, value in entry.xattrs)
        if size > _AT_ONCE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


class _Body:
    """A compressed list of rows in the making; a long one is in a file."""

    def __init__(self, session: Session, disk: Disk) -> None:
        self._session = session
        self._disk = disk
        self._compressor = zlib.compressobj(1)
        self._hash = xxh3_128()
        self._before = b"["
        self._pending = bytearray()
        self._fd = -1
        self._path = ""

    def add(self, rows: list[Any]) -> None:
        """Append rows, at least one."""
        self._append(self._compressor.compress(self._before + dumps(rows)[1:-1]))
        self._before = b","

    def finish(self) -> str:
        """Add the end of the list; return the digest of everything."""
        end = b"]" if self._before == b"," else b"[]"
        self._append(self._compressor.compress(end) + self._compressor.flush())
        return self._hash.hexdigest()

    def _append(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._pending += piece
        if len(self._pending) > _IN_MEMORY:
            if self._fd < 0:
                self._path = self._session.temporary()
                self._fd = self._disk.open_new(self._path)
            self._disk.write(self._fd, self._pending)
            self._pending.clear()

    def publish(self, path: str, head: bytes) -> None:
        """Put the index, with its first line, in its place."""
        if self._fd < 0:
            self._session.replace(path, head + self._pending)
            return
        self._disk.write(self._fd, self._pending)
        self._session.replace(path, head, then=self._fd)

    def close(self) -> None:
        """Remove what was on the way."""
        if self._fd >= 0:
            os.close(self._fd)
            self._disk.unlink(self._path)
