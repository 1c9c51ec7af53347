"""The index of an image for several platforms: which manifest is for which. Source: OCI image-spec, image-index.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from minidock.core import mediatype
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor, Index, Manifest
from minidock.core.digest import Digest
from minidock.core.platform import Platform


@dataclass(frozen=True, slots=True)
class PlatformManifest:
    """The manifest of an image for one platform; ``annotations`` are those of its descriptor."""

    platform: Platform
    manifest: Manifest
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """What an index says of it."""
        data = self.manifest.to_bytes()
        told = {"platform": _platform_json(self.platform)}
        return Descriptor(self.manifest.media_type, Digest.sha256(data), len(data), self.annotations, told)


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """An index: its bytes, and the annotations of the descriptor that names it."""

    data: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        manifests: Iterable[PlatformManifest],
        annotations: Mapping[str, str],
        of_descriptor: Mapping[str, str],
    ) -> ImageIndex:
        """Return the index of manifests, in their order."""
        other = {"annotations": dict(annotations)} if annotations else {}
        return cls(Index(tuple(item.descriptor for item in manifests), other).to_bytes(), of_descriptor)

    @property
    def descriptor(self) -> Descriptor:
        """What names it."""
        return Descriptor(mediatype.INDEX, Digest.sha256(self.data), len(self.data), self.annotations)


def _platform_json(platform: Platform) -> dict[str, Any]:
    members = {
        "architecture": platform.architecture,
        "os": platform.os,
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
    }
    return {name: value for name, value in members.items() if value}


def directory_of(platform: Platform) -> str:
    """Return the name of the directory that the files for a platform go to."""
    return platform.with_options().replace("/", "_")
