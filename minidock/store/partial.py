"""Downloads that were broken off, for whoever goes on with them: ``tmp/partial/HEX``, named by the digest to come.

Nothing trusts them: the whole is compared with its digest. Whoever holds the key lock of the blob may take or keep one;
a thorough removal of what nothing needs (`builder prune -a`) takes them along.
"""

from __future__ import annotations

import os

from minidock.core.digest import Digest
from minidock.store.blobs import BlobWriter
from minidock.store.layout import PARTIAL, Layout
from minidock.store.session import Session
from minidock.store.writer import Disk

SMALLEST = 1 << 20  # less is downloaded again as fast as it is found here
_CHUNK = 1 << 20


class Partials:
    """The unfinished downloads of a store."""

    def __init__(self, layout: Layout, disk: Disk) -> None:
        self._layout = layout
        self._disk = disk

    def _path(self, digest: Digest) -> str:
        return self._layout.path("tmp", PARTIAL, digest.hex)

    def resume(self, session: Session, digest: Digest, size: int) -> BlobWriter:
        """Return a writer of a blob of ``size`` bytes that holds what is there of it already."""
        writer = BlobWriter(session, self._disk)
        path = session.temporary()
        try:
            self._disk.rename(self._path(digest), path)
        except FileNotFoundError:
            return writer
        with open(path, "rb") as file:
            while writer.size < size and (chunk := file.read(min(_CHUNK, size - writer.size))):
                writer.write(chunk)
        session.discard(path)
        return writer

    def keep(self, session: Session, writer: BlobWriter, digest: Digest) -> None:
        """End a writer whose download was broken off; what it has is kept if it is worth it."""
        if writer.size < SMALLEST:
            writer.discard()
            return
        try:
            writer.suspend()
            directory = self._layout.path("tmp", PARTIAL)
            if not os.path.isdir(directory):
                self._disk.mkdir(directory)
            self._disk.rename(writer.path, self._path(digest))
        except OSError:  # a full disk, perhaps: the error of the download is the one to tell
            session.discard(writer.path)


def partial_paths(layout: Layout) -> list[str]:
    """Return the paths of all unfinished downloads that nobody is going on with."""
    directory = layout.path("tmp", PARTIAL)
    try:
        return [f"{directory}/{name}" for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []
