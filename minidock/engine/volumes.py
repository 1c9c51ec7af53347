"""Volumes: making, listing, removing, and filling new ones with what the image has in their place."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from minidock.core.container import check_volume_name, is_anonymous
from minidock.core.entries import DIRECTORY, FILE, Tree
from minidock.core.process import Mount
from minidock.core.summary import VolumeRow
from minidock.core.times import format_time
from minidock.engine.workspace import Workspace
from minidock.errors import NoSuchVolume, VolumeInUse
from minidock.store.container_record import ContainerMount, ContainerRecord
from minidock.store.layers import Contents
from minidock.store.session import Session
from minidock.store.unpack import Unpacker
from minidock.store.volumes import Volume

DRIVER = "local"


def create(ws: Workspace, name: str, labels: Mapping[str, str]) -> str:
    """Make a volume, if it is not there, and return its name; an empty one is made up. Raises: InvalidRequest."""
    if name:
        check_volume_name(name)
    volume = Volume(name or secrets.token_hex(32), ws.clock.now(), dict(labels), is_anonymous=not name)
    with ws.store.session() as session:
        return ws.store.volumes.create(session, volume).name


def list_volumes(ws: Workspace) -> tuple[VolumeRow, ...]:
    """Return one row per volume, by name."""
    volumes = ws.store.volumes
    return tuple(VolumeRow(volume.name, DRIVER, volumes.data(volume.name)) for volume in volumes.list())


def inspect(ws: Workspace, name: str) -> dict[str, Any]:
    """Return what `volume inspect` says of a volume. Raises: NoSuchVolume."""
    volume = ws.store.volumes.find(name)
    return {
        "CreatedAt": format_time(volume.created.replace(microsecond=0)),
        "Driver": DRIVER,
        "Labels": dict(volume.labels) or None,
        "Mountpoint": ws.store.volumes.data(volume.name),
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }


def users_of(ws: Workspace) -> dict[str, list[str]]:
    """Return the IDs of the containers that use each volume that is used."""
    users: dict[str, list[str]] = {}
    for container in ws.store.containers.list():
        for name in container.record.volumes:
            users.setdefault(name, []).append(container.id)
    return users


def remove(ws: Workspace, name: str, *, is_forced: bool = False) -> None:
    """Remove a volume. Raises: VolumeInUse; NoSuchVolume unless forced."""
    try:
        ws.store.volumes.find(name)
    except NoSuchVolume:
        if is_forced:
            return
        raise
    with ws.store.session() as session, ws.store.locks.names():
        if name in users_of(ws):
            raise VolumeInUse(name, users_of(ws)[name])
        ws.store.volumes.discard(session, name)


def prune(ws: Workspace, *, includes_named: bool = False) -> tuple[str, ...]:
    """Remove the volumes that no container uses, without ``includes_named`` the anonymous ones only; return them."""
    removed = []
    with ws.store.session() as session, ws.store.locks.names():
        used = users_of(ws)
        for volume in ws.store.volumes.list():
            if volume.name not in used and (includes_named or volume.is_anonymous):
                ws.store.volumes.discard(session, volume.name)
                removed.append(volume.name)
    return tuple(removed)


def discard_anonymous(ws: Workspace, session: Session, record: ContainerRecord) -> None:
    """Remove the anonymous volumes of a container that is being removed, unless another one uses them."""
    with ws.store.locks.names():
        for name in record.volumes:
            is_shared = any(user != record.id for user in users_of(ws).get(name, ()))
            if not is_shared and any(volume.name == name and volume.is_anonymous for volume in ws.store.volumes.list()):
                ws.store.volumes.discard(session, name)


def prepare(ws: Workspace, session: Session, record: ContainerRecord, tree: Tree) -> None:
    """Make what a container wants to mount: missing host directories as docker does, volumes with their content.

    A new volume, or an empty one that was never used, gets what the image has in its place.
    """
    for mount in record.mounts:
        if not mount.volume:
            if not os.path.exists(mount.source):  # it may be a file
                os.makedirs(mount.source, exist_ok=True)
            continue
        volume = Volume(mount.volume, record.created, is_anonymous=is_anonymous(mount.volume), is_used=True)
        ws.store.volumes.create(session, volume, partial(_copy_up, ws, record, tree, mount.target))


def bind_mount(ws: Workspace, mount: ContainerMount) -> Mount:
    """Return where on the host the content of a mount is."""
    source = ws.store.volumes.data(mount.volume) if mount.volume else mount.source
    return Mount(source, mount.target, mount.is_read_only)


def _copy_up(ws: Workspace, record: ContainerRecord, tree: Tree, target: str, data: str) -> None:
    """Write what the image has at ``target`` into the empty directory ``data``."""
    path = tree.resolve(target)
    top = tree.get(path)
    if top is None or top.kind != DIRECTORY:
        return
    unpacker = Unpacker(ws.store.disk, data, ws.store.id_mode)
    entries = [top, *tree.below(path)]
    below = [entry._replace(path=entry.path[len(path) :].lstrip("/")) for entry in entries]
    first: dict[tuple[str, int], str] = {}
    with Contents(ws.store.blobs, ws.store.layers, record.diff_ids) as contents:
        for entry, moved in zip(entries, below, strict=True):
            if entry.kind != FILE:
                unpacker.make(moved, -1)
                continue
            name = (entry.linkname or entry.path, contents.layer_of(entry))
            if name in first:
                unpacker.link(moved._replace(linkname=first[name]))
            else:
                first[name] = moved.path
                unpacker.make(moved, contents.descriptor(entry))
    unpacker.finish([entry for entry in below if entry.kind == DIRECTORY])
