"""What `inspect` shows of images, containers and volumes: JSON objects in docker's layout."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from minidock.core.inspection import image_members
from minidock.core.platform import Platform
from minidock.engine import images, volumes
from minidock.engine.container_inspect import inspect_container
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace
from minidock.errors import (
    InvalidReference,
    InvalidRequest,
    NoSuchContainer,
    NoSuchImage,
    NoSuchNetwork,
    NoSuchObject,
    NoSuchVolume,
)


class ObjectType(StrEnum):
    """What `inspect --type` can ask for."""

    IMAGE = "image"
    CONTAINER = "container"
    NETWORK = "network"
    VOLUME = "volume"

    @classmethod
    def parse(cls, text: str) -> ObjectType:
        """Return the kind of object with this name. Raises: InvalidRequest."""
        if text not in list(cls):
            known = ", ".join(f'"{kind}"' for kind in sorted(cls))
            raise InvalidRequest(f'unknown type: "{text}": must be one of {known}')
        return cls(text)


def inspect_image(ws: Workspace, text: str, platform: Platform | None = None) -> dict[str, Any]:
    """Return the members of the image that a name or ID gives, which is for ``platform`` if that is asked for.

    Raises: NoSuchImage, InvalidReference, MinidockError for one of another platform.
    """
    image = images.find(ws, text)
    if platform is not None:
        images.require_platform(image.config, [platform], text)
    size = sum(images.layer_sizes(ws, image.config))
    listed = ws.store.images.list()
    manifest = next((item for item in listed if config_digest(item) == image.image_id), None)
    digests = images.known_repo_digests(listed, image.image_id)
    return image_members(image.image_id, image.config, image.names, size, manifest, digests)


def inspect_any(
    ws: Workspace, text: str, kind: ObjectType | None, *, has_sizes: bool = False
) -> tuple[ObjectType, dict[str, Any]]:
    """Return what is called ``text`` and its members: a container, an image, a network, a volume; or of one ``kind``.

    Raises: NoSuchObject, or with a kind what says that there is none of it.
    """

    def look(kind: ObjectType) -> dict[str, Any]:
        match kind:
            case ObjectType.IMAGE:
                return inspect_image(ws, text)
            case ObjectType.CONTAINER:
                return inspect_container(ws, text, has_sizes=has_sizes)
            case ObjectType.NETWORK:
                from minidock.engine import networks  # rarely asked for

                return networks.inspect(ws, text)
            case ObjectType.VOLUME:
                return volumes.inspect(ws, text)

    if kind is not None:
        return kind, look(kind)
    for candidate in (ObjectType.CONTAINER, ObjectType.IMAGE, ObjectType.NETWORK, ObjectType.VOLUME):
        try:
            return candidate, look(candidate)
        except (NoSuchContainer, NoSuchImage, NoSuchNetwork, NoSuchVolume, InvalidReference):
            continue
    raise NoSuchObject(text)
