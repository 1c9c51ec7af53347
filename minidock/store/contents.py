"""The content of the files of a merged tree, read from the tars of its layers."""

from __future__ import annotations

import os
from collections.abc import Sequence

from minidock.core.digest import Digest
from minidock.core.entries import FILE, Entry
from minidock.errors import TarError
from minidock.store.blobs import Blobs
from minidock.store.content import Stretch, stretch_of
from minidock.store.layers import Layers


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
