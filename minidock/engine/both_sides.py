"""The files of a container's image and its own, open for reading side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.core.entries import Entry, Tree
from minidock.engine.workspace import Workspace
from minidock.engine.written import written
from minidock.store.beneath import open_beneath
from minidock.store.containers import Container
from minidock.store.content import Stretch
from minidock.store.contents import Contents
from minidock.store.scan import Found


class Sides:
    """``lower`` is the tree of the image, ``entries`` are what the container wrote, sorted by path."""

    def __init__(self, lower: Tree, found: list[Found], contents: Contents, upper: str) -> None:
        self.lower = lower
        self.entries = [item.entry for item in found]
        self._contents = contents
        self._upper = upper

    def of_image(self, entry: Entry) -> Stretch:
        """Return the content of a file of the image."""
        return self._contents.stretch(entry)

    @contextmanager
    def of_container(self, path: str) -> Iterator[Stretch]:
        """Yield the content of a file that the container wrote. Raises: StoreError, FileNotFoundError."""
        with open_beneath(self._upper, path) as fd:
            yield Stretch(fd, 0, os.fstat(fd).st_size)


@contextmanager
def both_sides(ws: Workspace, container: Container) -> Iterator[Sides]:
    """Yield the files of both. The container keeps its image's layers. Raises: InvalidRequest, NoSuchContainer."""
    diff_ids = container.record.diff_ids
    with (
        written(ws, container) as (lower, found),
        Contents(ws.store.blobs, ws.store.layers, diff_ids) as contents,
    ):
        yield Sides(lower, found, contents, ws.store.containers.path(container.id, "upper"))
