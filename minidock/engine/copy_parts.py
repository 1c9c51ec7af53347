"""What stands in a COPY or ADD: paths of a context or stage, here-documents, and what is fetched from elsewhere.

A part tells first what it depends on, which is enough to find the step's layer in the cache, and gets its files only
when that layer has to be made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from xxhash import xxh3_128

from minidock.core.cache_key import InputFile
from minidock.core.copying import Planned
from minidock.core.dockerfile.heredocs import Heredoc
from minidock.core.entries import FILE, Entry
from minidock.core.selecting import Selected
from minidock.engine.progress import Step
from minidock.engine.sources import Source, input_files
from minidock.errors import BuildError


class Part(Protocol):
    """One word of a COPY or ADD, or all of its here-documents; ``is_of_context`` if its files are the context's."""

    unpacks: bool
    is_of_context: bool

    def inputs(self) -> tuple[InputFile, ...]:
        """Return what the step depends on. Raises: BuildError if that cannot be found out."""
        ...

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return what else the step depends on, by name; asked after `inputs`."""
        ...

    def take(self, step: Step) -> tuple[Selected, ...]:
        """Return the files to copy; from now on they can be opened. Raises: BuildError, ContentChanged."""
        ...

    def open(self, item: Planned) -> tuple[int, int | None]:
        """Return an open descriptor of a file's content and where it starts; None: the whole file."""
        ...

    def close(self) -> None:
        """Give back what was taken."""
        ...


class LocalPart:
    """Files of the build context, of a stage or of an image, selected already."""

    def __init__(self, source: Source, selected: Sequence[Selected], *, unpacks: bool) -> None:
        self._source = source
        self._selected = tuple(selected)
        self.unpacks = unpacks
        self.is_of_context = not source.keeps_owners

    def inputs(self) -> tuple[InputFile, ...]:
        """Return every file, link and directory that is copied, without times."""
        return input_files(self._selected, keeps_owners=self._source.keeps_owners)

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return nothing."""
        return ()

    def take(self, _: Step) -> tuple[Selected, ...]:
        """Return what was selected."""
        return self._selected

    def open(self, item: Planned) -> tuple[int, int | None]:
        """Open a file of the source."""
        return self._source.open(item.entry, item.source or "")

    def close(self) -> None:
        """Nothing is held."""


class HeredocPart:
    """Here-documents, each a file of its name."""

    unpacks = False
    is_of_context = False

    def __init__(self, heredocs: Sequence[Heredoc], mtime: int) -> None:
        for document in heredocs:
            if "/" in document.name or document.name in (".", ".."):
                raise BuildError(f"invalid name of a here-document: {document.name}", hint="it becomes a file's name")
        self._contents = {doc.name: doc.content.encode("utf-8", "surrogateescape") for doc in heredocs}
        self._mtime = mtime

    def inputs(self) -> tuple[InputFile, ...]:
        """Return names and contents."""
        return tuple(
            InputFile(f"<<{name}", FILE, 0o644, sha256(content).hexdigest()) for name, content in self._contents.items()
        )

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return nothing."""
        return ()

    def take(self, _: Step) -> tuple[Selected, ...]:
        """Return a file for each."""
        return tuple(Selected(name, self._entry(name, content)) for name, content in self._contents.items())

    def _entry(self, name: str, content: bytes) -> Entry:
        return Entry(
            name,
            FILE,
            size=len(content),
            mtime=self._mtime,
            sha256=sha256(content).hexdigest(),
            xxh3=xxh3_128(content).hexdigest(),
        )

    def open(self, item: Planned) -> tuple[int, int | None]:
        """Return the content in a file that exists in memory only."""
        fd = os.memfd_create("heredoc", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(self._contents[item.source or ""])
        return fd, None

    def close(self) -> None:
        """Nothing is held."""
