"""Where the content of copied files comes from: the build context, or the layers of a stage or image."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from minidock.core import units
from minidock.core.cache_key import InputFile
from minidock.core.copying import inode_of
from minidock.core.digest import Digest
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.entries import FILE, Entry, Tree, join
from minidock.core.selecting import Selected, Selection
from minidock.core.told import Ignores
from minidock.engine.context import Context
from minidock.engine.progress import Progress
from minidock.errors import BuildError, StoreError
from minidock.store.contents import Contents
from minidock.store.store import Store


class Source(Protocol):
    """Something that COPY and ADD take files from."""

    def select(self, patterns: Sequence[str], selection: Selection) -> tuple[tuple[Selected, ...], ...]:
        """Return what each of the patterns names, with the digests of every file's content."""
        ...

    def open(self, entry: Entry, path: str) -> tuple[int, int | None]:
        """Return an open descriptor of the content of the file at ``path`` and where it starts; None: the whole file.

        The caller closes the descriptor.
        """
        ...

    def refresh(self, path: str) -> None:
        """Look again at a file that was found changed."""
        ...

    @property
    def keeps_owners(self) -> bool:
        """Whether files keep the owners that they have in the source."""
        ...

    @property
    def rules(self) -> IgnoreRules:
        """What of it does not exist for a build."""
        ...


class ContextSource:
    """The build context."""

    keeps_owners = False

    def __init__(self, context: Context, progress: Progress) -> None:
        self._context = context
        self.rules = context.rules
        self._progress = progress
        self._is_loaded = False
        self._lock = threading.Lock()  # stages that are built side by side share the context

    def select(self, patterns: Sequence[str], selection: Selection) -> tuple[tuple[Selected, ...], ...]:
        """Return what each of the patterns names, with the digests of every file's content.

        The first time this is a step of its own in the progress: the context is loaded.
        """
        with self._lock:
            return self._loaded(patterns, selection)

    def _loaded(self, patterns: Sequence[str], selection: Selection) -> tuple[tuple[Selected, ...], ...]:
        if self._is_loaded:
            return self._select(patterns, selection)
        self._is_loaded = True
        step = self._progress.start("[internal] load build context")
        try:
            return self._select(patterns, selection)
        finally:
            step.status(f"transferring context: {units.progress_size(self._context.read_size)} done")
            step.done(None)

    def _select(self, patterns: Sequence[str], selection: Selection) -> tuple[tuple[Selected, ...], ...]:
        tree = self._context.tree(patterns)
        chosen = [self._named(tree, pattern, selection) for pattern in patterns]
        return tuple(with_digests(self._context, items) for items in chosen)

    def _named(self, tree: Tree, pattern: str, selection: Selection) -> tuple[Selected, ...]:
        try:
            return selection.of(tree, pattern)
        except BuildError as error:
            raise BuildError(str(error), hint=error.hint or self._context.why_missing(pattern)) from error

    def open(self, entry: Entry, path: str) -> tuple[int, int | None]:
        """Return an open descriptor of a file of the context. Raises: ContentChanged if it is no file any more."""
        return self._context.open(path), None

    def refresh(self, path: str) -> None:
        """Look again at a file that was found changed."""
        with self._lock:
            self._context.refresh(path)


class LayerSource:
    """The merged tree of a stack of layers."""

    keeps_owners = True
    rules = IgnoreRules()

    def __init__(self, store: Store, diff_ids: Sequence[Digest], contents: Contents) -> None:
        self.tree: Tree = store.layers.tree(diff_ids)
        self._contents = contents

    def select(self, patterns: Sequence[str], selection: Selection) -> tuple[tuple[Selected, ...], ...]:
        """Return what each of the patterns names."""
        return tuple(selection.of(self.tree, pattern) for pattern in patterns)

    def open(self, entry: Entry, path: str) -> tuple[int, int | None]:
        """Return the layer's tar and the place of the content in it."""
        original = self.tree.get(path)
        assert original is not None
        return os.dup(self._contents.descriptor(original)), original.offset

    def refresh(self, path: str) -> None:
        """Layers do not change. Raises: StoreError."""
        raise StoreError(f"/{path} in a layer is damaged", hint="build or import its image again")


@contextmanager
def layer_source(store: Store, diff_ids: Sequence[Digest]) -> Iterator[LayerSource]:
    """Open the layers of a stage or image for copying from them."""
    with Contents(store.blobs, store.layers, diff_ids) as contents:
        yield LayerSource(store, diff_ids, contents)


def with_digests(context: Context, items: Sequence[Selected]) -> tuple[Selected, ...]:
    """Return what was selected in a context with the digests of every file's content."""
    digests = context.hashed(
        dict.fromkeys(path for item in items for path, entry in _files(item) if entry.kind == FILE)
    )

    def known(entry: Entry, path: str) -> Entry:
        if entry.kind != FILE:
            return entry
        return entry._replace(sha256=digests[path].sha256, xxh3=digests[path].xxh3)

    return tuple(
        replace(
            item,
            entry=known(item.entry, item.entry.path),
            members=tuple(known(member, join(item.entry.path, member.path)) for member in item.members),
        )
        for item in items
    )


def ignores_of(source: Source | None, prefix: str = "") -> tuple[Ignores, ...]:
    """Return what a source ignores, if anything; ``prefix`` stands before its paths in the inputs of a step."""
    return () if source is None or not source.rules.rules else (Ignores(prefix, source.rules),)


def _files(item: Selected) -> Iterable[tuple[str, Entry]]:
    yield item.entry.path, item.entry
    for member in item.members:
        yield join(item.entry.path, member.path), member


def input_files(selected: Sequence[Selected], *, keeps_owners: bool) -> tuple[InputFile, ...]:
    """Return what a cache key says of the files that an instruction takes: everything but times."""
    found = []
    for item in selected:
        if item.members and item.passed:
            item = replace(item, members=tuple(_passed(member, item.passed) for member in item.members))
        names: dict[str, str] = {}  # what an inode is known by -> its first path in this source
        for path, entry in _files(item):
            content, link = entry.linkname, ""
            if entry.kind == FILE:
                content, first = entry.sha256, names.setdefault(inode_of(entry, path), path)
                link = first if first != path else ""
            elif entry.major or entry.minor:
                content = f"{entry.major}:{entry.minor}"
            owner = f"{entry.uid}:{entry.gid}" if keeps_owners else ""
            xattrs = " ".join(f"{name}={value!r}" for name, value in entry.xattrs)
            found.append(InputFile(path, entry.kind, entry.mode, content, owner, link, xattrs))
    return tuple(found)


def _passed(member: Entry, passed: frozenset[str]) -> Entry:
    return member._replace(linkname="only passed") if member.path in passed else member
