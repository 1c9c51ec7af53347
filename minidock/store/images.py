"""index.json: which images there are, and their names. Readers read it whole and need no lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from minidock.core.descriptor import (
    BASE,
    CONFIG_DIGEST,
    CREATED,
    LINES,
    REF_NAME,
    REPO_DIGESTS,
    SIZE,
    Descriptor,
    Index,
)
from minidock.core.digest import Digest
from minidock.store.layout import Layout
from minidock.store.locks import Locks
from minidock.store.spare_block import beside

if TYPE_CHECKING:
    from minidock.store.session import Session


class Images:
    """The images of a store: descriptors of manifests, named or not.

    A descriptor without a name is an image that lost its last one ("dangling"), or never had one.
    """

    def __init__(self, layout: Layout, locks: Locks) -> None:
        self._layout = layout
        self._locks = locks

    def index(self) -> Index:
        """Return index.json; an empty one if the store has none yet."""
        try:
            with open(self._layout.index, "rb") as file:
                return Index.from_bytes(file.read())
        except FileNotFoundError:
            return Index()

    def list(self) -> tuple[Descriptor, ...]:
        """Return the descriptors of all images in the order they were added."""
        return self.index().manifests

    def find(self, name: str) -> Descriptor | None:
        """Return the descriptor of the image with the familiar name and tag ``name``."""
        return next((item for item in self.list() if item.annotations.get(REF_NAME) == name), None)

    def add(self, session: Session, image: Descriptor, names: tuple[str, ...]) -> None:
        """Add an image under ``names``, taking them from whoever has them; without a name if there are none.

        An image whose last name is taken stays, nameless. All of it happens at once.
        """
        self._change(session, lambda index: _with(index, image, names))

    def remove(self, session: Session, should_go: Callable[[Descriptor], bool]) -> tuple[Descriptor, ...]:
        """Take out the descriptors for which ``should_go`` says so; return those."""
        gone: list[Descriptor] = []

        def change(index: Index) -> Index:
            gone.clear()
            kept: list[Descriptor] = []
            for item in index.manifests:
                (gone if should_go(item) else kept).append(item)
            return replace(index, manifests=tuple(kept))

        self._change(session, change, is_removal=True)
        return tuple(gone)

    def untag(self, session: Session, image_id: Digest, names: Collection[str]) -> tuple[str, ...]:
        """Take names away from an image, which stays in the list, nameless if need be; return those it had."""
        gone: tuple[str, ...] = ()

        def change(index: Index) -> Index:
            nonlocal gone
            after, gone = untagged(index, image_id, names)
            return after

        self._change(session, change, is_removal=True)
        return gone

    def add_repo_digest(self, session: Session, manifest: Digest, text: str) -> None:
        """Note at an image, under all of its names, that a registry has it as ``text`` (``NAME@DIGEST``)."""

        def noted(item: Descriptor) -> Descriptor:
            if item.digest != manifest:
                return item
            known = [*(name for name in item.annotations.get(REPO_DIGESTS, "").split() if name != text), text]
            return replace(item, annotations={**item.annotations, REPO_DIGESTS: " ".join(known)})

        self._change(session, lambda index: replace(index, manifests=tuple(map(noted, index.manifests))))

    def _change(self, session: Session, change: Callable[[Index], Index], *, is_removal: bool = False) -> None:
        with self._locks.index():
            before = self.index()
            after = change(before)
            if after != before:
                # A removal takes no block that was not there before it.
                has_spare = not is_removal or beside(os.stat(self._layout.index)) > 0
                session.replace(self._layout.index, after.to_bytes(), has_spare_block=has_spare)


def untagged(index: Index, image_id: Digest, names: Collection[str]) -> tuple[Index, tuple[str, ...]]:
    """Return an index in which an image has lost ``names`` but stays, nameless if need be, and those that it had."""
    gone: list[str] = []
    bare: Descriptor | None = None
    for item in index.manifests:
        name = item.annotations.get(REF_NAME)
        if name in names and item.annotations.get(CONFIG_DIGEST) == str(image_id):
            gone.append(str(name))
            bare = item
    if bare is None:
        return index, ()
    kept = tuple(item for item in index.manifests if item.annotations.get(REF_NAME) not in gone)
    nameless = {key: value for key, value in bare.annotations.items() if key != REF_NAME}
    return _with(replace(index, manifests=kept), replace(bare, annotations=nameless), ()), tuple(sorted(gone))


def describe(
    manifest: Descriptor,
    config: Digest,
    created: str | None,
    size: int,
    repo_digests: Sequence[str] = (),
    lines: str = "",
    base: str = "",
) -> Descriptor:
    """Return the manifest's descriptor with what `image ls` shows and what its build told in its annotations."""
    annotations = {CONFIG_DIGEST: str(config), SIZE: str(size)}
    if repo_digests:
        annotations[REPO_DIGESTS] = " ".join(dict.fromkeys(repo_digests))
    if created is not None:
        annotations[CREATED] = created
    if lines:
        annotations[LINES] = lines
    if base:
        annotations[BASE] = base
    return replace(manifest, annotations=annotations)


def _with(index: Index, image: Descriptor, names: tuple[str, ...]) -> Index:
    others = []
    digests_kept = set()
    for item in index.manifests:
        name = item.annotations.get(REF_NAME)
        if item.digest == image.digest and (name is None or name in names):
            continue  # stands again below
        if name in names:
            item = replace(item, annotations={k: v for k, v in item.annotations.items() if k != REF_NAME})
            name = None
        others.append(item)
        if name is not None:
            digests_kept.add(item.digest)
    seen: set[Digest] = set()
    kept = []
    for item in others:  # a nameless descriptor says nothing where the image has a name, or another nameless one
        if REF_NAME not in item.annotations:
            if item.digest in digests_kept or item.digest in seen:
                continue
            seen.add(item.digest)
        kept.append(item)
    if names:
        kept.extend(replace(image, annotations={**image.annotations, REF_NAME: name}) for name in names)
    elif image.digest not in digests_kept:
        kept.append(image)
    return replace(index, manifests=tuple(kept))
