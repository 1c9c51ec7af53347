"""Rows of the lists that commands show: what the engine returns and render prints.

Named tuples: they are made by the thousand, and a dataclass would cost every start of `image ls` half a millisecond.
Values, not text: sizes in bytes, times aware or None where unknown, IDs whole. Cutting and wording is render's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from minidock.core.digest import Digest


class ImageRow(NamedTuple):
    """One tag of one image; ``repository``, ``tag`` and ``digest`` are empty if there is none.

    ``digest`` is that of a registry, as text; ``size`` is the sum over the layers.
    """

    repository: str
    tag: str
    digest: str
    image_id: Digest
    created: datetime | None
    size: int


class StepDetails(NamedTuple):
    """What `history --lines` tells of a step beside docker's columns; texts are empty where nothing is known.

    ``lines`` are those in the Dockerfile, ``diff_id`` is the layer that the step left. Of its bytes ``hidden`` cannot
    be seen in the image, and ``duplicated`` were in an earlier layer already. ``last_build`` is what the last build of
    the image did: ``reused`` or ``ran``.
    """

    lines: str
    instruction: str
    diff_id: Digest | None
    hidden: int
    duplicated: int
    last_build: str


class HistoryRow(NamedTuple):
    """One entry of an image's history; ``image_id`` is the image that the step left, None if it is not known."""

    image_id: Digest | None
    created: datetime | None
    created_by: str
    size: int
    comment: str
    details: StepDetails | None = None


class ContainerState(StrEnum):
    """What a container is doing; docker's words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"


class ContainerRow(NamedTuple):
    """One container.

    ``id`` is 64 hexadecimal digits; ``image`` the name it was made from, or the image ID's text once the name has
    moved on; ``command`` the words joined by blanks; ``ports`` are as shown (``0.0.0.0:8080->80/tcp``). ``size_rw``
    are the bytes that it wrote, ``size_root`` those of its whole file system, 0 if nobody asked for sizes.
    ``health`` is what the checks say, empty without checks.
    """

    id: str
    image: str
    command: str
    created: datetime
    state: ContainerState
    exit_code: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ports: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    size_rw: int = 0
    size_root: int = 0
    mounts: tuple[str, ...] = ()
    local_volumes: int = 0
    labels: Mapping[str, str] = MappingProxyType({})
    health: str = ""


class VolumeRow(NamedTuple):
    """One volume; ``links`` containers use it. ``links`` and ``size`` are None if nobody counted."""

    name: str
    driver: str
    mountpoint: str
    links: int | None = None
    size: int | None = None
    labels: Mapping[str, str] = {}  # never changed


class CacheRow(NamedTuple):
    """One record of the build cache; shared if an image has its layer too, in use if a build holds it now."""

    id: str
    kind: str
    size: int
    created: datetime
    last_used: datetime | None
    usage_count: int
    is_in_use: bool
    is_shared: bool


class UsageKind(StrEnum):
    """The lines of `system df`, in its order."""

    IMAGES = "Images"
    CONTAINERS = "Containers"
    VOLUMES = "Local Volumes"
    CACHE = "Build Cache"


class UsageRow(NamedTuple):
    """One line of `system df`: ``reclaimable`` of ``size`` bytes would be freed if all that is not active went."""

    kind: UsageKind
    total: int
    active: int
    size: int
    reclaimable: int


class ImageUsage(NamedTuple):
    """One image with the bytes that other images have too, those it has alone, and how many containers use it."""

    row: ImageRow
    shared_size: int
    unique_size: int
    containers: int


class DiskUsage(NamedTuple):
    """Everything that `system df` shows.

    ``on_disk`` are terms (kind, allocated bytes) that add up to what ``du -s -B1`` says of the store's directory, and
    ``overhead`` the parts of the last of them. ``writers`` commands and containers may have written meanwhile.
    """

    summary: tuple[UsageRow, ...]
    images: tuple[ImageUsage, ...]
    containers: tuple[ContainerRow, ...]
    volumes: tuple[VolumeRow, ...]
    cache: tuple[CacheRow, ...]
    on_disk: tuple[tuple[str, int], ...]
    overhead: tuple[tuple[str, int], ...] = ()
    writers: int = 0
