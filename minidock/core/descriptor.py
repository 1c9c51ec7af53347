"""Descriptors, manifests and the index of an image layout.

Source: OCI image-spec, descriptor.md, manifest.md, image-index.md, image-layout.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from typing import Any

from minidock.core import mediatype
from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.errors import StoreError

REF_NAME = "org.opencontainers.image.ref.name"
# What `image ls` shows, so that it reads index.json and nothing else.
CONFIG_DIGEST = "dev.minidock.config"
CREATED = "dev.minidock.created"
SIZE = "dev.minidock.size"
REPO_DIGESTS = "dev.minidock.digests"  # NAME@DIGEST of registries that have it, blanks between
BASE = "dev.minidock.base"  # what FROM named: `core.base_image`
LINES = "dev.minidock.lines"  # where the instructions stand in the Dockerfile: `core.step_lines`


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Names a blob: its media type, digest and size in bytes. Members we do not know are kept in ``other``."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON members."""
        members: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        members.update(self.other)
        if self.annotations:
            members["annotations"] = dict(self.annotations)
        return members

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Descriptor:
        """Return the descriptor read from JSON. Raises: StoreError, InvalidDigest."""
        known = {"mediaType", "digest", "size", "annotations"}
        try:
            return cls(
                media_type=str(members["mediaType"]),
                digest=Digest.parse(str(members["digest"])),
                size=_size(members["size"]),
                annotations=dict(members.get("annotations") or {}),
                other={key: value for key, value in members.items() if key not in known},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"malformed descriptor: {members!r}") from error


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(value)
    return value


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one image: a config and layers, base first; ``source`` holds the bytes of one that was read."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    media_type: str = mediatype.MANIFEST
    source: bytes = field(default=b"", compare=False, repr=False)

    def to_bytes(self) -> bytes:
        """Return the bytes it was read from, whose digest is its name; of a new one the canonical JSON."""
        return self.source or dumps(
            {
                "schemaVersion": 2,
                "mediaType": self.media_type,
                "config": self.config.to_json(),
                "layers": [layer.to_json() for layer in self.layers],
                **({"annotations": dict(self.annotations)} if self.annotations else {}),
            }
        )

    def with_layers(self, layers: tuple[Descriptor, ...], annotations: Mapping[str, str] | None = None) -> Manifest:
        """Return a new manifest of the same config with other layers."""
        return Manifest(self.config, layers, self.annotations if annotations is None else annotations)

    def as_oci(self) -> Manifest:
        """Return the manifest in OCI's words; itself if it is one of OCI."""
        if self.media_type == mediatype.MANIFEST:
            return self

        def renamed(item: Descriptor) -> Descriptor:
            return replace(item, media_type=mediatype.AS_OCI.get(item.media_type, item.media_type))

        return Manifest(renamed(self.config), tuple(map(renamed, self.layers)), self.annotations)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Return the manifest read from JSON, OCI's or docker's.

        Raises: StoreError, also for a document that could be read as an index as well (GHSA-77vh-xpmg-72qh).
        """
        members = load_object(data, "image manifest")
        if "manifests" in members or "config" not in members:
            raise StoreError("image manifest: not the manifest of one image")
        media_type = members.get("mediaType", mediatype.MANIFEST)
        if media_type not in mediatype.MANIFESTS:
            raise StoreError(f"image manifest: unexpected media type {media_type!r}")
        layers = members.get("layers") or []
        annotations = members.get("annotations") or {}
        if not isinstance(layers, list) or not isinstance(annotations, dict):
            raise StoreError("image manifest: layers is not a list, or annotations is not a map")
        found = tuple(Descriptor.from_json(layer) for layer in layers)
        texts = {str(key): str(value) for key, value in annotations.items()}
        return cls(Descriptor.from_json(members["config"]), found, texts, media_type, data)


@dataclass(frozen=True, slots=True)
class Index:
    """``index.json``: one descriptor for each name, in the order they were added; unknown members are kept."""

    manifests: tuple[Descriptor, ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return dumps(
            {
                "schemaVersion": 2,
                "mediaType": mediatype.INDEX,
                **self.other,
                "manifests": [descriptor.to_json() for descriptor in self.manifests],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """Return the index read from JSON. Raises: StoreError."""
        members = load_object(data, "index.json")
        if "layers" in members or "config" in members:
            raise StoreError("image index: it could be the manifest of an image as well")
        known = {"schemaVersion", "mediaType", "manifests"}
        return cls(
            tuple(Descriptor.from_json(item) for item in _items(members.get("manifests"))),
            {key: value for key, value in members.items() if key not in known},
        )


_MEMBERS = ("schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations")
_OF_DESCRIPTORS = ("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")


def load_object(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in ``data``, a manifest or an index.

    Raises: StoreError that names ``what``, also for what others could read as another document: members that are there
    twice, or spelt in other cases (GHSA-77vh-xpmg-72qh).
    """
    members = parse_object(data, what)
    check_spelling(members, _MEMBERS, what)
    for name in ("layers", "manifests", "config", "subject"):
        found = members.get(name)
        for item in found if isinstance(found, list) else [found]:
            if isinstance(item, dict):
                check_spelling(item, _OF_DESCRIPTORS, what)
    return members


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in ``data``, in which no name is there twice. Raises: StoreError that names ``what``."""
    members = _parse(data, what)
    if not isinstance(members, dict):
        raise StoreError(f"{what}: not an object")
    return members


def parse_list(data: bytes, what: str) -> list[dict[str, Any]]:
    """Return the JSON objects of the list in ``data``; each name is there once. Raises: StoreError that names it."""
    items = _parse(data, what)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise StoreError(f"{what}: not a list of objects")
    return items


def _parse(data: bytes, what: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise StoreError(f"{what}: the member {twice!r} is there twice")
        return members

    try:
        return json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{what}: not JSON") from error


def check_spelling(members: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Refuse names that differ from a ``known`` one in case only: some readers take one for the other."""
    folded = {name.casefold(): name for name in known}
    for name in members:
        meant = folded.get(name.casefold(), name)
        if name != meant:
            raise StoreError(f"{what}: the member {name!r} could be taken for {meant!r}")


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
