"""What a build cache holds that leaves the machine: the layers of steps, by cache key.

It travels as the config of an image manifest whose layers are those layers, so that any registry and any OCI layout can
keep it. Source: BuildKit, cache/remotecache/v1 (the shape of layers and records; the keys are this program's own).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor, Manifest, parse_object
from minidock.core.digest import Digest
from minidock.errors import InvalidDigest, StoreError

CACHE_CONFIG = "application/vnd.minidock.cacheconfig.v1+json"
UNCOMPRESSED = "containerd.io/uncompressed"
PACKED = "dev.minidock.packed"  # the label of the compression that made a layer


@dataclass(frozen=True, slots=True)
class CachedResult:
    """What a key stands for: a layer with the bytes of its content, or (``image_id``) the config of a step's image.

    ``created`` is RFC 3339: who takes the result from the cache dates the step alike. ``description`` has no secrets.
    """

    key: Digest
    created: str
    diff_id: Digest | None = None
    image_id: Digest | None = None
    size: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """A cache: its results, and the blob of every layer by diff_id."""

    results: tuple[CachedResult, ...] = ()
    blobs: Mapping[Digest, Digest] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        places = {diff_id: place for place, diff_id in enumerate(self.blobs)}
        layers = [
            {"blob": str(blob), "annotations": {UNCOMPRESSED: str(diff_id)}} for diff_id, blob in self.blobs.items()
        ]
        return dumps({"layers": layers, "records": [_to_json(result, places) for result in self.results]})

    @classmethod
    def from_bytes(cls, data: bytes) -> CacheConfig:
        """Return the cache read from JSON. Raises: StoreError."""
        members = parse_object(data, "cache config")
        try:
            diff_ids = [Digest.parse(item["annotations"][UNCOMPRESSED]) for item in members["layers"]]
            blobs = [Digest.parse(item["blob"]) for item in members["layers"]]
            results = tuple(_from_json(item, diff_ids) for item in members["records"])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, InvalidDigest) as error:
            raise StoreError("cache config: malformed") from error
        return cls(results, dict(zip(diff_ids, blobs, strict=True)))


def cache_of(
    manifest: Manifest, config: CacheConfig
) -> tuple[Mapping[Digest, CachedResult], Mapping[Digest, Descriptor]]:
    """Return the results of a cache by key, and its layers by diff_id."""
    by_digest = {layer.digest: layer for layer in manifest.layers}
    layers = {diff_id: by_digest[blob] for diff_id, blob in config.blobs.items() if blob in by_digest}
    return {result.key: result for result in config.results}, layers


def _to_json(result: CachedResult, places: Mapping[Digest, int]) -> dict[str, Any]:
    members: dict[str, Any] = {"digest": str(result.key)}
    if result.diff_id is not None:
        members["layers"] = [{"layer": places[result.diff_id], "createdAt": result.created}]
        members["size"] = result.size
    else:
        members["createdAt"] = result.created
    if result.image_id is not None:
        members["image"] = str(result.image_id)
    if result.description:
        members["description"] = result.description
    return members


def _from_json(members: Mapping[str, Any], diff_ids: list[Digest]) -> CachedResult:
    layers = members.get("layers") or []
    place = int(layers[0]["layer"]) if layers else -1
    if place >= len(diff_ids):
        raise IndexError
    return CachedResult(
        key=Digest.parse(members["digest"]),
        created=str(layers[0]["createdAt"] if layers else members["createdAt"]),
        diff_id=diff_ids[place] if place >= 0 else None,
        image_id=Digest.parse(members["image"]) if "image" in members else None,
        size=int(members.get("size", 0)),
        description=str(members.get("description", "")),
    )
