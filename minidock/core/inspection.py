"""An image as `inspect` shows it: docker's members in docker's order.

Source: docker 29, `docker image inspect`, as seen from outside. Members that only a daemon has are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidock.core.config import ContainerConfig, ImageConfig
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.times import ZERO_TIME

# As docker's structure declares them; others follow by name.
_CONFIG_ORDER = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "OnBuild",
    "Shell",
)


def image_members(
    image_id: Digest,
    config: ImageConfig,
    names: Sequence[str],
    size: int,
    manifest: Descriptor | None,
    repo_digests: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the JSON object of one image; ``manifest`` is its entry in index.json, None for the image of a step.

    When a name was given is not recorded: ``LastTagTime`` is docker's time for "never".
    """
    members: dict[str, Any] = {"Id": str(image_id), "RepoTags": list(names), "RepoDigests": list(repo_digests)}
    comment = config.history[-1].comment if config.history else ""
    if comment:
        members["Comment"] = comment
    if config.created is not None:
        members["Created"] = config.created
    if config.author:
        members["Author"] = config.author
    members["Config"] = config_members(config.config)
    members["Architecture"] = config.architecture
    if config.variant:
        members["Variant"] = config.variant
    members["Os"] = config.os
    members["Size"] = size
    members["RootFS"] = {"Type": "layers", "Layers": [str(diff_id) for diff_id in config.diff_ids]}
    members["Metadata"] = {"LastTagTime": ZERO_TIME}
    if manifest is not None:
        members["Descriptor"] = {
            "mediaType": manifest.media_type,
            "digest": str(manifest.digest),
            "size": manifest.size,
        }
    return members


def config_members(config: ContainerConfig) -> dict[str, Any]:
    """Return the members of a container config that are not empty, in docker's order."""
    members = config.to_json()
    order = {name: position for position, name in enumerate(_CONFIG_ORDER)}
    return dict(sorted(members.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))
