"""Base images without a registry: from a root file system's tar, and from programs of this machine."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

from minidock.core.config import ContainerConfig, HistoryEntry, ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.dockerfile.config_changes import with_changes
from minidock.core.entries import Entry
from minidock.core.platform import Platform
from minidock.core.process import DEFAULT_PATH
from minidock.core.times import format_time
from minidock.engine import events, from_host, images
from minidock.engine.decompress import decompressed
from minidock.engine.platforms import architecture
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, MinidockError


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What `import` is asked for; without a ``name`` the image has none."""

    name: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    platform: Platform | None = None
    source_date_epoch: int | None = None


def import_image(ws: Workspace, stream: BinaryIO, request: ImportRequest) -> Digest:
    """Store a root file system tar (plain or compressed) as an image of one layer; return its ID.

    Raises: TarError, InvalidReference, InvalidRequest for --change.
    """
    names = [images.new_name(request.name)] if request.name else []
    created = creation_time(ws, request.source_date_epoch)
    config = with_changes(_base(created, (), ()).config, request.changes)
    with ws.store.session() as session:
        layer = ws.store.layers.ingest(session, decompressed(stream))
        entry = HistoryEntry(created=created, comment=request.message)
        image = replace(_base(created, (layer.diff_id,), (entry,)), config=config)
        if request.platform is not None:
            wanted = request.platform
            image = replace(image, os=wanted.os, architecture=wanted.architecture, variant=wanted.variant)
        image_id = images.publish(ws, session, image, names)[0]
    events.tell_image(ws, "import", image_id)
    for name in names:
        events.tell_image(ws, "tag", image_id, name)
    return image_id


def import_tar(
    ws: Workspace, stream: BinaryIO, name: str | None, *, message: str, source_date_epoch: int | None = None
) -> Digest:
    """Store a root file system tar under a name; return the image's ID. Raises: TarError."""
    return import_image(ws, stream, ImportRequest(name or "", message, source_date_epoch=source_date_epoch))


def is_url(text: str) -> bool:
    """Tell whether what is to be imported is to be fetched."""
    return text.startswith(("http://", "https://"))


@contextmanager
def downloaded(url: str) -> Iterator[BinaryIO]:
    """Yield the content at a URL while it comes. Raises: MinidockError if it does not, or not whole."""
    from minidock.registry import download

    try:
        with download.opened(url) as response:
            yield io.BufferedReader(_Chunks(response.chunks()), 1 << 20)
    except BuildError as error:  # of what is fetched for a build; here nothing is built
        raise MinidockError(str(error), hint=error.hint) from error


class _Chunks(io.RawIOBase):
    """A stream of what an iterator yields."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def from_host_image(
    ws: Workspace,
    name: str | None,
    programs: Sequence[str],
    adds: Sequence[str],
    search_path: str,
    source_date_epoch: int | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> Digest:
    """Pack programs of this machine with what they load into an image of one layer; return its ID.

    Raises: HostFileError, ProgramNotFound, LibraryNotFound. What is doubtful goes to ``warn``.
    """
    names = [images.new_name(name)] if name else []
    created = creation_time(ws, source_date_epoch)
    mtime = source_date_epoch if source_date_epoch is not None else int(ws.clock.now().timestamp())
    entries = from_host.collect(programs, adds, search_path, warn=warn)
    with ws.store.session() as session:
        writer = ws.store.layers.writer(session)
        for item in entries:
            entry = Entry(item.path, item.kind, item.mode, mtime=mtime, linkname=item.linkname)
            if item.source is None:
                writer.add(entry, item.content or b"")
                continue
            fd = os.open(item.source, os.O_RDONLY | os.O_CLOEXEC)
            try:
                writer.add_file(entry._replace(size=os.fstat(fd).st_size), fd)
            finally:
                os.close(fd)
        layer = writer.finish(ws.store.layers, session)
        comment = "Packed from host: " + " ".join([*programs, *adds])
        entry_text = HistoryEntry(created=created, created_by="from-host " + " ".join(programs), comment=comment[:200])
        return images.publish(ws, session, _base(created, (layer.diff_id,), (entry_text,)), names)[0]


def creation_time(ws: Workspace, source_date_epoch: int | None) -> str:
    """Return the RFC 3339 time that an image made now gets."""
    if source_date_epoch is None:
        return format_time(ws.clock.now())
    from datetime import UTC, datetime

    return format_time(datetime.fromtimestamp(source_date_epoch, UTC))


def _base(created: str, diff_ids: tuple[Digest, ...], history: tuple[HistoryEntry, ...]) -> ImageConfig:
    return ImageConfig(
        architecture=architecture(),
        created=created,
        config=ContainerConfig(env=(f"PATH={DEFAULT_PATH}",)),
        diff_ids=diff_ids,
        history=history,
    )
