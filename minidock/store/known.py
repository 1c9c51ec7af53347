"""What documents and layers of a store say, each read once by a command.

All of it is named by its digest and never changes. What cannot be read is not remembered: it may come yet.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from minidock.core.ancestry import Lineage
from minidock.core.config import ImageConfig
from minidock.core.digest import Digest
from minidock.errors import InvalidDigest, MinidockError

if TYPE_CHECKING:
    from minidock.store.blobs import Blobs


class Known:
    """Answers about immutable blobs: configs, manifests and lists."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._configs: dict[Digest, ImageConfig] = {}
        self._lineages: dict[Digest, Lineage] = {}
        self._children: dict[Digest, tuple[tuple[str, Digest], ...]] = {}
        self._chains: dict[tuple[str, str], str] = {}
        self._shared: dict[Hashable, Any] = {}

    def config(self, image_id: Digest) -> ImageConfig | None:
        """Return the config of an image, None if it cannot be read."""
        found = self._configs.get(image_id)
        if found is None:
            try:
                found = self._configs[image_id] = ImageConfig.from_bytes(self._blobs.read(image_id))
            except (MinidockError, ValueError, TypeError, AttributeError):
                return None
        return found

    def lineage(self, image_id: Digest) -> Lineage | None:
        """Return layers and history of an image, None if its config cannot be read."""
        found = self._lineages.get(image_id)
        if found is None:
            try:
                found = Lineage.from_bytes(self._blobs.read(image_id), self._shared)
            except (MinidockError, ValueError, TypeError, KeyError, AttributeError):
                return None
            self._lineages[image_id] = found
        return found

    def children(self, digest: Digest) -> tuple[tuple[str, Digest], ...]:
        """Return what a manifest or a list names, as (``config``, ``layers`` or ``manifests``, digest).

        Nothing if it cannot be read.
        """
        found = self._children.get(digest)
        if found is None:
            try:
                members = json.loads(self._blobs.read(digest))
            except (MinidockError, ValueError):
                return ()
            found = self._children[digest] = tuple(_named_by(members))
        return found

    def chain(self, below: str, diff_id: str) -> str:
        """Return the chain ID of a layer upon that with the chain ID ``below`` (`chain_ids`); all are hex digits."""
        if not below:
            return diff_id
        found = self._chains.get((below, diff_id))
        if found is None:
            found = self._chains[below, diff_id] = Digest.sha256(f"sha256:{below} sha256:{diff_id}".encode()).hex
        return found


def _named_by(members: Any) -> list[tuple[str, Digest]]:
    found = []
    for name in ("config", "layers", "manifests"):
        value: Any = members.get(name) if isinstance(members, dict) else None
        for item in value if isinstance(value, list) else [value]:
            try:
                found.append((name, Digest.parse(item["digest"])))
            except (InvalidDigest, KeyError, TypeError, AttributeError):
                continue
    return found
