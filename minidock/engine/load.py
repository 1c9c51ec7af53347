"""Images from an archive: every byte is compared with its digest before a name leads to it.

An archive that is no plain file is copied whole into the session's temporary directory first, since its index may stand
at its end; nothing of it is unpacked. What says one thing twice must say the same (layers, history, sizes).
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.platform import Platform
from minidock.engine import events, images
from minidock.engine.archive_files import ArchiveFiles
from minidock.engine.archived_image import ArchivedImage
from minidock.engine.decompress import decompressed, is_compressed
from minidock.engine.load_docker import check_agreement, images_of_docker
from minidock.engine.load_layout import images_of_layout
from minidock.engine.pack import INDEX_FILE, LAYOUT_FILE, MANIFEST_FILE
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, NoSuchImage
from minidock.store import tar
from minidock.store.session import Session
from minidock.store.tar_fields import check_sum

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded, under one name or (empty) none; ``replaced`` is whose name it was before."""

    image_id: Digest
    name: str = ""
    replaced: Digest | None = None


def load(ws: Workspace, stream: BinaryIO, platforms: Sequence[Platform] = ()) -> tuple[Loaded, ...]:
    """Store the images of an archive, plain or compressed, and return them; names are given last, when all is stored.

    With ``platforms`` every image must be for one of them. Raises: MinidockError for an archive that is damaged,
    hostile, or holds no images.
    """
    with ws.store.session() as session:
        files = ArchiveFiles(_in_place(stream) or _spooled(ws, session, stream))
        if files.has(LAYOUT_FILE) and files.has(INDEX_FILE):
            found = images_of_layout(ws, session, files, platforms)
            check_agreement(files, found)
        elif files.has(MANIFEST_FILE):
            found = list(images_of_docker(ws, session, files))
        else:
            raise MinidockError(
                "the archive holds no images: neither manifest.json nor index.json is in it",
                hint="the tar of a root file system is for `minidock import`",
            )
        for image in found:
            images.require_platform(image.config, platforms, ", ".join(image.names) or str(image.image_id))
        return tuple(item for image in found for item in _publish(ws, session, image))


def _publish(ws: Workspace, session: Session, image: ArchivedImage) -> Iterator[Loaded]:
    image_id = image.image_id
    before = {name: _holder(ws, name) for name in image.names}
    annotations = image.manifest.annotations if image.manifest else {}
    images.publish(ws, session, image.config, image.names, data=image.data, annotations=annotations)
    events.tell_image(ws, "load", image_id)
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
    """Copy an archive to a temporary file, unpacked; what cannot be one is refused at its first bytes."""
    plain = decompressed(stream)
    head = b""
    while len(head) < tar.BLOCK_SIZE and (chunk := plain.read(tar.BLOCK_SIZE - len(head))):
        head += chunk
    if len(head) < tar.BLOCK_SIZE:
        raise MinidockError("unexpected EOF: not an archive of images")
    if not any(head):
        raise MinidockError("the archive holds no images: it is an empty tar")
    check_sum(head)
    path = session.temporary()
    fd = ws.store.disk.open_new(path)
    try:
        ws.store.disk.write(fd, head)
        while chunk := plain.read(_CHUNK):
            ws.store.disk.write(fd, chunk)
    finally:
        os.close(fd)
    return path
