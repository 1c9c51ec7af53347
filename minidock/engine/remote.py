"""What a registry says of an image, without pulling it: its config and its manifest."""

from __future__ import annotations

import json
from typing import Any

from minidock.core.inspection import image_members
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.engine.pull import look
from minidock.registry.registries import Registries


def inspect_remote(registries: Registries, text: str, platform: Platform | None = None) -> dict[str, Any]:
    """Return the members of an image at a registry, as of one in the store, and its manifest beside them.

    ``Size`` is what a pull would download. Raises: InvalidReference, RegistryError.
    """
    reference = Reference.parse(text)
    _, remote = look(registries, reference, platform)
    manifest = remote.manifest
    names = [] if reference.digest else [reference.familiar]
    size = sum(layer.size for layer in manifest.layers) + manifest.config.size
    members = image_members(
        manifest.config.digest,
        remote.config,
        names,
        size,
        remote.found.descriptor,
        [f"{reference.familiar_name}@{remote.found.descriptor.digest}"],
    )
    return {**members, "Manifest": json.loads(manifest.to_bytes())}
