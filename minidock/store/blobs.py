"""Blobs: immutable files named by the sha256 of their bytes."""

from __future__ import annotations

import os
import queue
import threading
from hashlib import sha256

from minidock.core.digest import Digest
from minidock.errors import BlobCorrupt, BlobNotFound, StoreError
from minidock.store.layout import Layout
from minidock.store.session import Session
from minidock.store.writer import Disk

_MAX_DOCUMENT = 4 << 20
_FLUSH = 1 << 20


class Blobs:
    """The content-addressed part of a store."""

    def __init__(self, layout: Layout, disk: Disk) -> None:
        self._layout = layout
        self._disk = disk

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there (its bytes are not looked at)."""
        return os.path.exists(self._layout.blob(digest))

    def read(self, digest: Digest) -> bytes:
        """Return the verified bytes of a small blob: a config or a manifest.

        Raises: BlobNotFound, BlobCorrupt.
        """
        fd = self.open(digest)
        try:
            size = os.fstat(fd).st_size
            if size > _MAX_DOCUMENT:
                raise StoreError(f"blob {digest} is too large for a config or a manifest")
            data = os.read(fd, size + 1)
            if len(data) < size:  # a file system that hands out less at once than it has
                with os.fdopen(os.dup(fd), "rb") as file:
                    data += file.read()
        finally:
            os.close(fd)
        found = Digest.sha256(data)
        if found != digest:
            raise BlobCorrupt(digest, found)
        return data

    def open(self, digest: Digest) -> int:
        """Return a descriptor of the blob's file, not verified; the caller closes it. Raises: BlobNotFound."""
        try:
            return os.open(self._layout.blob(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise BlobNotFound(digest) from error

    def writer(self, session: Session) -> BlobWriter:
        """Return a writer of a new blob."""
        return BlobWriter(session, self._disk)

    def put(self, session: Session, data: bytes) -> Digest:
        """Store a small blob durably; nothing is written if it is there already."""
        digest = Digest.sha256(data)
        session.pin([digest])
        if not self.has(digest):
            writer = BlobWriter(session, self._disk)
            writer.write(data)
            writer.publish(self._layout)
        return digest


class BlobWriter:
    """A blob that is being written: bytes go to a temporary file and into its digest.

    Bytes are collected into large writes; a second thread hashes them while the next ones are read (hashing lets
    go of the interpreter's lock). Leave it by `publish` or `discard`.
    """

    def __init__(self, session: Session, disk: Disk) -> None:
        self._session = session
        self._disk = disk
        self.path = session.temporary()
        self._fd = disk.open_new(self.path)
        self._buffer = bytearray()
        self._hash = sha256()
        self._hasher: _Hasher | None = None
        self._digest: Digest | None = None
        self.size = 0

    def write(self, data: bytes | bytearray) -> None:
        """Append bytes."""
        self._buffer += data
        self.size += len(data)
        if len(self._buffer) >= _FLUSH:
            self._flush(self._fd)

    def _flush(self, fd: int) -> None:
        chunk = bytes(self._buffer)
        self._buffer.clear()
        if self._hasher is None and len(chunk) >= _FLUSH:
            self._hasher = _Hasher(self._hash)
        if self._hasher is not None:
            self._hasher.update(chunk)
        else:
            self._hash.update(chunk)
        self._disk.write(fd, chunk)

    def suspend(self) -> None:
        """End before all is there; what has been written stays under the temporary name."""
        fd, self._fd = self._fd, -1
        try:
            self._flush(fd)
            if self._hasher is not None:
                self._hasher.finish()
        finally:
            os.close(fd)

    def complete(self) -> Digest:
        """Make the bytes durable, still under the temporary name; return their digest. Nothing is added any more."""
        if self._digest is None:
            fd, self._fd = self._fd, -1
            try:
                self._flush(fd)
                if self._hasher is not None:
                    self._hasher.finish()
                self._disk.sync(fd)
            finally:
                os.close(fd)
            self._digest = Digest(self._hash.hexdigest())
        return self._digest

    def publish(self, layout: Layout) -> Digest:
        """Make the blob durable under its digest and return that."""
        digest = self.complete()
        self._session.pin([digest])
        self._session.publish(self.path, layout.blob(digest))
        return digest

    def discard(self) -> None:
        """Give up; the temporary file goes."""
        if self._fd >= 0:
            if self._hasher is not None:
                self._hasher.finish()
            os.close(self._fd)
            self._fd = -1
        self._session.discard(self.path)


class _Hasher:
    """Feeds a hash in a thread of its own, a bounded number of chunks behind."""

    def __init__(self, hasher: object) -> None:
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self._update = hasher.update  # type: ignore[attr-defined]  # hashlib has no public type for its objects
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (chunk := self._queue.get()) is not None:
            self._update(chunk)

    def update(self, chunk: bytes) -> None:
        self._queue.put(chunk)

    def finish(self) -> None:
        self._queue.put(None)
        self._thread.join()
