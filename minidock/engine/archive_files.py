"""The files of an archive of images, or of an OCI layout on disk, and what is checked of them.

Nothing is unpacked, and no link leads out of an archive. Source: OCI image-spec, image-layout.md.
"""

from __future__ import annotations

import io
import os
import stat
from hashlib import sha256
from typing import Protocol

from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.entries import FILE, HARDLINK, SYMLINK, Entry, Tree
from minidock.engine.incoming import ingest
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt, MinidockError, StoreError, TarError
from minidock.store.content import Stretch, stretch_of
from minidock.store.session import Session
from minidock.store.tar_reader import Reader

_MOST_MEMBERS = 200_000
_MOST_MEMORY = 48 << 20
_LARGEST_DOCUMENT = 4 << 20
_CHUNK = 1 << 20


class Files(Protocol):
    """The files of an archive or directory."""

    def has(self, path: str) -> bool:
        """Whether there is a file."""
        ...

    def open(self, path: str) -> Section:
        """Return a file's content. Raises: MinidockError if it is missing, or no file."""
        ...


class Section(io.RawIOBase):
    """A file's content as a stream, with the digest of what was read. Closes the descriptor."""

    def __init__(self, content: Stretch) -> None:
        self._content = content
        self._position = 0
        self._hash = sha256()
        self.size = content.size
        self.is_hashed = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = self._content.read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        if self.is_hashed:
            self._hash.update(data)
        return len(data)

    def drain(self) -> Digest:
        """Read the rest and return the digest of everything."""
        while self.read(_CHUNK):
            pass
        return Digest(self._hash.hexdigest())

    def close(self) -> None:
        if not self.closed:
            os.close(self._content.fd)
        super().close()


class ArchiveFiles:
    """The members of an uncompressed tar."""

    def __init__(self, path: str) -> None:
        self._path = path
        entries: dict[str, Entry] = {}
        with open(path, "rb") as file:
            for entry in Reader(file, _MOST_MEMORY):
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
        return Section(stretch_of(os.open(self._path, os.O_RDONLY | os.O_CLOEXEC), entry))


class LayoutFiles:
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
        return Section(Stretch(fd, 0, status.st_size))


def read_document(files: Files, path: str, digest: Digest | None = None, size: int | None = None) -> bytes:
    """Return a small file: a config, a manifest, an index. Raises: MinidockError if it is not what it is said to be."""
    with files.open(path) as section:
        if section.size > _LARGEST_DOCUMENT or size not in (None, section.size):
            raise StoreError(f"{path} has {section.size} bytes, not {size or f'at most {_LARGEST_DOCUMENT}'}")
        data = section.readall()
    found = Digest.sha256(data)
    if digest not in (None, found):
        raise BlobCorrupt(str(digest), found)
    return data


def blob_path(digest: Digest) -> str:
    """Return where a layout has a blob."""
    return f"blobs/sha256/{digest.hex}"


def ingest_layer(ws: Workspace, session: Session, files: Files, layer: Descriptor, diff_id: Digest) -> None:
    """Store a layer of a layout, compressed or not, if it is not here yet. Raises: StoreError."""
    with files.open(blob_path(layer.digest)) as section:
        if section.size != layer.size:
            raise StoreError(f"blob {layer.digest} has {section.size} bytes, not {layer.size}")
        if layer.digest == diff_id:
            section.is_hashed = False  # what is stored is, and must have the same digest
        ingest_tar(ws, session, section, diff_id)
        if layer.digest != diff_id and section.drain() != layer.digest:
            raise BlobCorrupt(str(layer.digest), section.drain())


def ingest_tar(ws: Workspace, session: Session, section: Section, diff_id: Digest) -> None:
    """Store the tar of a layer, compressed or not, if it is not here yet. Raises: BlobCorrupt, TarError."""
    session.pin([diff_id])
    if ws.store.blobs.has(diff_id):
        return
    buffered = io.BufferedReader(section, _CHUNK)
    ingest(ws, session, buffered, diff_id)
    buffered.detach()  # or it would close the section, whose digest is still to be compared
