"""`export`: the root file system of a container as one tar, without what is mounted there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from minidock.core.entries import FILE, Entry, Tree
from minidock.engine import events
from minidock.engine.export_tree import content_of, with_links
from minidock.engine.workspace import Workspace
from minidock.engine.written import written
from minidock.store.contents import Contents
from minidock.store.scan import Found
from minidock.store.tar import END, header, padding

_CHUNK = 1 << 20


def export_container(ws: Workspace, name: str, write: Callable[[bytes], object]) -> None:
    """Write the files of a container as a tar, sorted by path. Raises: NoSuchContainer, InvalidRequest, BlobCorrupt."""
    container = ws.store.containers.find(name)
    diff_ids = container.record.diff_ids
    with ws.store.session() as session:
        session.pin([container.record.image_id, *diff_ids])
        with written(ws, container) as (lower, found):
            tree, sources = _merged(lower, found)
            with Contents(ws.store.blobs, ws.store.layers, diff_ids) as contents:
                for entry in with_links(tree.entries()[1:]):
                    write(header(entry))
                    if entry.kind == FILE:
                        source = sources.get((entry.xxh3, entry.offset))
                        for chunk, _ in _of_file(source, entry) if source else content_of(contents, entry):
                            write(chunk)
                        write(padding(entry.size))
    write(END)
    events.tell(ws, container.record, "export")


def _merged(lower: Tree, found: list[Found]) -> tuple[Tree, dict[tuple[str, int], str]]:
    """Return the container's tree, and where the content of its own files is: those have negative offsets."""
    entries: list[Entry] = []
    sources: dict[tuple[str, int], str] = {}
    for number, item in enumerate(found, 1):
        entry = item.entry
        if entry.kind == FILE:
            entry = entry._replace(offset=-number)
            sources[(entry.xxh3, entry.offset)] = item.source
        entries.append(entry)
    return lower.with_layer(entries), sources


def _of_file(source: str, entry: Entry) -> Iterator[tuple[bytes, bool]]:
    """Yield as many bytes as the header has promised, whatever a program does to the file meanwhile.

    What is missing of them is zeros, which is said of each chunk.
    """
    left = entry.size
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        while left and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk, False
    while left:
        left -= (size := min(_CHUNK, left))
        yield bytes(size), True
