"""Decides what is mounted into a container: what the user asks for, what other containers have, what the image says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from minidock.core.mounts import MountOption, check_targets, parse_volumes_from
from minidock.core.process import MountType
from minidock.engine.identifiers import new_id
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest


def mounts_of(
    ws: Workspace, options: Sequence[MountOption], volumes_from: Sequence[str], image_volumes: Sequence[str]
) -> tuple[MountOption, ...]:
    """Return the mounts in the order in which they must be made: a directory before what lies in it.

    For one target an option of the user goes before a mount of another container, and that before a volume of the
    image. A volume without a name gets one. Raises: InvalidRequest, NoSuchContainer.
    """
    check_targets(options)
    # One --tmpfs hides what else is asked for in its place.
    chosen = {option.target: option for option in sorted(options, key=lambda option: option.type is MountType.TMPFS)}
    for text in volumes_from:
        for mount in _of_container(ws, text):
            chosen.setdefault(mount.target, mount)
    for path in image_volumes:
        mount = MountOption.parse(path)
        chosen.setdefault(mount.target, mount)
    for mount in chosen.values():
        if mount.is_bind and not mount.is_short and not os.path.lexists(mount.source):
            reason = f"bind source path does not exist: {mount.source}"
            raise InvalidRequest(f'invalid mount config for type "bind": {reason}')
    return tuple(_named(chosen[target]) for target in sorted(chosen))


def _of_container(ws: Workspace, text: str) -> list[MountOption]:
    """Return what ``--volumes-from`` names: binds and volumes, as they are or read-only."""
    name, is_read_only = parse_volumes_from(text)
    mounts = ws.store.containers.find(name).record.mounts
    return [
        replace(mount, is_read_only=mount.is_read_only or is_read_only)
        for mount in mounts
        if mount.type is not MountType.TMPFS
    ]


def _named(mount: MountOption) -> MountOption:
    if mount.type is MountType.VOLUME and not mount.source:
        return replace(mount, source=new_id())
    return mount
