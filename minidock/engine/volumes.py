"""Volumes: making, listing, removing, and filling new ones with what the image has in their place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from minidock.core.entries import DIRECTORY, FILE
from minidock.core.mounts import MountOption
from minidock.core.process import Mount, MountType
from minidock.core.summary import VolumeRow
from minidock.core.times import format_time
from minidock.core.volume import DRIVER, Backing, VolumeFilter, check_driver_options, check_volume_name, is_anonymous
from minidock.engine.identifiers import new_id
from minidock.engine.image_files import ImageFiles
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, NoSuchVolume, RuntimeProblem, VolumeInUse
from minidock.store.container_record import ContainerRecord
from minidock.store.containers import Container
from minidock.store.contents import Contents
from minidock.store.session import Session
from minidock.store.unpack import Unpacker
from minidock.store.volumes import Volume

_EVERY = VolumeFilter()
_NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


def create(ws: Workspace, name: str, labels: Mapping[str, str], options: Mapping[str, str] = _NO_OPTIONS) -> str:
    """Make a volume, if it is not there, and return its name; an empty one is made up.

    ``options`` are those of the local driver. Raises: InvalidRequest.
    """
    if name:
        check_volume_name(name)
    made_up = name or new_id()
    check_driver_options(made_up, options)
    volume = Volume(made_up, ws.clock.now(), dict(labels), is_anonymous=not name, options=dict(options))
    with ws.store.session() as session:
        made = ws.store.volumes.create(session, volume)
    if made is volume:
        ws.store.record_event("volume", "create", made.name, {"driver": DRIVER})
    return made.name


def list_volumes(ws: Workspace, wanted: VolumeFilter = _EVERY) -> tuple[VolumeRow, ...]:
    """Return one row per volume that the filter wants, by name."""
    volumes = ws.store.volumes
    used = users_of(ws) if wanted.is_dangling is not None else {}
    return tuple(
        VolumeRow(volume.name, DRIVER, volumes.data(volume.name), labels=volume.labels)
        for volume in volumes.list()
        if wanted.fits(volume.name, volume.labels, is_used=volume.name in used)
    )


def inspect(ws: Workspace, name: str) -> dict[str, Any]:
    """Return what `volume inspect` says of a volume. Raises: NoSuchVolume."""
    volume = ws.store.volumes.find(name)
    return {
        "CreatedAt": format_time(volume.created.replace(microsecond=0)),
        "Driver": DRIVER,
        "Labels": dict(volume.labels) or None,
        "Mountpoint": ws.store.volumes.data(volume.name),
        "Name": volume.name,
        "Options": dict(sorted(volume.options.items())) or None,
        "Scope": "local",
    }


def users_of(ws: Workspace) -> dict[str, list[str]]:
    """Return the IDs of the containers that use each volume that is used."""
    users: dict[str, list[str]] = {}
    for container in ws.store.containers.list():
        for name in dict.fromkeys(container.record.volumes):
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
    with ws.store.session(is_removal=True) as session, ws.store.locks.names():
        if name in users_of(ws):
            raise VolumeInUse(name, users_of(ws)[name])
        ws.store.volumes.discard(session, name)
    ws.store.record_event("volume", "destroy", name, {"driver": DRIVER})


def unused(
    ws: Workspace, containers: Sequence[Container], *, includes_named: bool, wanted: VolumeFilter = _EVERY
) -> list[Volume]:
    """Return the volumes that a prune takes when there are only these containers."""
    used = {name for container in containers for name in container.record.volumes}
    return [
        volume
        for volume in ws.store.volumes.list()
        if volume.name not in used
        and wanted.fits(volume.name, volume.labels, is_used=False)
        and (includes_named or volume.is_anonymous)
    ]


def prune(ws: Workspace, *, includes_named: bool = False, wanted: VolumeFilter = _EVERY) -> tuple[str, ...]:
    """Remove the volumes that no container uses, without ``includes_named`` the anonymous ones only; return them."""
    with ws.store.session(is_removal=True) as session, ws.store.locks.names():
        gone = unused(ws, ws.store.containers.list(), includes_named=includes_named, wanted=wanted)
        for volume in gone:
            ws.store.volumes.discard(session, volume.name)
    for volume in gone:
        ws.store.record_event("volume", "destroy", volume.name, {"driver": DRIVER})
    return tuple(volume.name for volume in gone)


def discard_anonymous(ws: Workspace, session: Session, record: ContainerRecord) -> None:
    """Remove the anonymous volumes of a container that is being removed, unless another one uses them."""
    with ws.store.locks.names():
        for name in record.volumes:
            is_shared = any(user != record.id for user in users_of(ws).get(name, ()))
            if not is_shared and any(volume.name == name and volume.is_anonymous for volume in ws.store.volumes.list()):
                ws.store.volumes.discard(session, name)
                ws.store.record_event("volume", "destroy", name, {"driver": DRIVER})


def prepare(ws: Workspace, session: Session, record: ContainerRecord, files: ImageFiles) -> None:
    """Make what a container wants to mount: missing host directories as docker does, volumes with their content.

    A new volume, or an empty one that was never used, gets what the image has in its place.
    """
    for mount in record.mounts:
        if mount.is_bind and not os.path.lexists(mount.source):  # it may be a file
            _make_source(mount.source)
        if not mount.volume:
            continue
        check_driver_options(mount.volume, mount.driver_options)
        volume = Volume(
            mount.volume,
            record.created,
            dict(mount.labels),
            is_anonymous=is_anonymous(mount.volume),
            is_used=mount.has_copy and not mount.subpath,
            options=dict(mount.driver_options),
        )
        made = ws.store.volumes.create(session, volume, partial(_copy_up, ws, record, files, mount.target))
        if made is volume:
            ws.store.record_event("volume", "create", made.name, {"driver": DRIVER})


def _make_source(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        reason = f"mkdir {error.filename}: {(error.strerror or '').lower()}"
        raise InvalidRequest(f"error while creating mount source path '{path}': {reason}") from error


def mount_of(ws: Workspace, mount: MountOption) -> Mount:
    """Return what the runtime is to mount, and where on the host its content is."""
    if mount.type is MountType.TMPFS:
        return Mount("", mount.target, mount.is_read_only, MountType.TMPFS, options=mount.tmpfs)
    if mount.is_bind:
        return Mount(
            mount.source,
            mount.target,
            mount.is_read_only,
            propagation=mount.propagation,
            recursion=mount.recursion,
        )
    volume = ws.store.volumes.find(mount.volume)
    backing = Backing.of(volume.options)
    if backing is None:
        return Mount(ws.store.volumes.data(mount.volume), mount.target, mount.is_read_only, subpath=mount.subpath)
    is_read_only = mount.is_read_only or backing.is_read_only
    if not backing.source:
        if mount.subpath:
            raise RuntimeProblem(f"volume {mount.volume} is a tmpfs: it has no {mount.subpath} when it is mounted")
        options = ("exec", "suid", *backing.tmpfs)
        return Mount("", mount.target, is_read_only, MountType.TMPFS, options=options)
    return Mount(backing.source, mount.target, is_read_only, subpath=mount.subpath)


def _copy_up(ws: Workspace, record: ContainerRecord, files: ImageFiles, target: str, data: str) -> None:
    """Write what the image has at ``target`` into the empty directory ``data``."""
    tree = files.tree
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
