"""`run`, first half: from an image and the user's options to a container on disk, ready to be started."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from minidock.core import container as rules
from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.networking import Networking, NetworkKind, NetworkWish, with_ports
from minidock.core.process import ProcessSpec, RootFs
from minidock.engine import events, images, limits, privileges, volumes
from minidock.engine.container_removal import finish_removals, remove_container
from minidock.engine.identifiers import pick
from minidock.engine.image_files import ImageFiles
from minidock.engine.rootfs import prepared, probe
from minidock.engine.run_request import RunRequest, check, check_platform, check_shared, record_of
from minidock.engine.workspace import Workspace
from minidock.errors import NameConflict
from minidock.runtime.base import Isolation
from minidock.store.container_record import ContainerRecord
from minidock.store.session import Session

_NAME_TRIES = 20

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Created:
    """A container that waits to be started; whoever holds ``lock`` (a descriptor) is its monitor."""

    record: ContainerRecord
    lowers: tuple[str, ...]
    lock: int


def create(ws: Workspace, request: RunRequest, warn: Warn, *, starts_here: bool = False) -> Created:
    """Make a container; nothing of it is left if that fails. ``starts_here``: this program is about to start it, too.

    Raises: NoSuchImage, InvalidRequest, NameConflict, NoRuntime, RuntimeProblem (an unknown user).
    """
    check(request)
    image = images.find(ws, request.image)
    limits.check(ws, request.resources, warn)
    check_platform(request, image)
    args = rules.command_line(image.config.config, request.entrypoint, request.args)
    report = probe(ws)
    privileges.check(request.security, report, warn)
    is_copied = not report.has_overlay
    if report.isolation is Isolation.CHROOT:
        warn(
            "containers cannot be isolated here: this one gets a changed root directory on a whole copy of its root "
            "file system, and sees the processes and the network of the host (see `minidock doctor`)"
        )
    elif is_copied:
        warn("overlayfs cannot be used for this store: the container gets a whole copy of its root file system")
    with prepared(ws) if starts_here else nullcontext(), ws.store.session() as session:
        finish_removals(ws, session)
        session.pin([image.image_id, *image.config.diff_ids])
        files = ImageFiles(ws, image.config.diff_ids)
        user = files.user(request.user or image.config.config.user, request.security.asked.groups)
        lowers = () if is_copied else ws.store.snapshots.stack(session, image.config.diff_ids)
        with ws.store.locks.networks():  # until the record is there, which says which addresses are taken
            networking = _networking(ws, session, request.network, image.config.config.exposed_ports)
            if networking.kind is NetworkKind.HOST and request.network.options.published:
                warn("Published ports are discarded when using host network mode")
            check_shared(request, networking)
            record = record_of(ws, request, image, args, user, networking, is_copied=is_copied)
            record, lock = _publish(ws, session, record, files, is_named=bool(request.name))
        try:
            # After the container, whose record names them: if this process dies here, removing it removes them.
            volumes.prepare(ws, session, record, files)
        except BaseException:
            os.close(lock)
            remove_container(ws, record.id, removes_volumes=True)
            raise
    events.tell(ws, record, "create")
    return Created(record, lowers, lock)


def _networking(ws: Workspace, session: Session, wish: NetworkWish, ports: tuple[str, ...]) -> Networking:
    """Return the network of a new container, see `container_network.networking_of`."""
    if wish.is_of_host:
        return replace(wish.options, exposed=with_ports((*ports, *wish.options.exposed), ()))
    from minidock.engine.container_network import (
        networking_of,  # slow to load, and most containers use the host's network
    )

    return networking_of(ws, session, wish, ports)


def _publish(
    ws: Workspace, session: Session, record: ContainerRecord, files: ImageFiles, *, is_named: bool
) -> tuple[ContainerRecord, int]:
    """Put the container into the store; one with a made-up name tries others while that is taken."""
    tries = 1 if is_named else _NAME_TRIES
    while True:
        try:
            return record, ws.store.containers.create(session, record, partial(_fill, ws, record, files))
        except NameConflict:
            tries -= 1
            if not tries:
                raise
            record = replace(record, name=rules.made_up_name(pick))


def _fill(ws: Workspace, record: ContainerRecord, files: ImageFiles, directory: str) -> None:
    """Make the directories of a container: an overlay's upper and work, or a whole copy with its fingerprints."""
    disk = ws.store.disk
    upper = f"{directory}/upper"
    if record.has_log:
        os.close(disk.open_new(f"{directory}/log"))
    if record.is_copied:
        baseline = ws.store.snapshots.copy_of(record.diff_ids, upper)
        fd = disk.open_new(f"{directory}/baseline")
        disk.write(fd, dumps({path: list(values) for path, values in baseline.items()}))
        os.close(fd)
        return
    root = files.root
    disk.mkdir(f"{directory}/work")
    disk.mkdir(upper)
    disk.chmod(upper, stat.S_IMODE(root.mode))
    if ws.store.id_mode.has_real_owners and (root.uid or root.gid):
        disk.chown(upper, root.uid, root.gid)
    disk.utime(upper, root.mtime)


def reopened(ws: Workspace, container_id: str, lock: int) -> Created:
    """Return a container that has been made before, ready to be started; the caller has claimed it (``lock``).

    Raises: NoSuchContainer.
    """
    container = ws.store.containers.get(container_id)
    record = container.record
    with ws.store.session() as session:
        session.pin([record.image_id, *record.diff_ids])
        lowers = () if record.is_copied else ws.store.snapshots.stack(session, record.diff_ids)
        volumes.prepare(ws, session, record, ImageFiles(ws, record.diff_ids))
    return Created(record, lowers, lock)


def process_spec(ws: Workspace, created: Created) -> ProcessSpec:
    """Return what the runtime is to start for a container."""
    record, containers = created.record, ws.store.containers
    upper = containers.path(record.id, "upper")
    if record.is_copied:
        rootfs = RootFs(copied=upper, is_read_only=record.is_read_only, owners=containers.path(record.id, "owners"))
    else:
        work = containers.path(record.id, "work")
        owners = containers.path(record.id, "owners")
        rootfs = RootFs(created.lowers, upper, work, is_read_only=record.is_read_only, owners=owners)
    return ProcessSpec(
        id=record.id,
        args=record.args,
        env=rules.process_variables(
            record.env, record.user, hostname=record.hostname, has_terminal=record.has_terminal
        ),
        rootfs=rootfs,
        cwd=record.cwd,
        user=record.user,
        mounts=tuple(volumes.mount_of(ws, mount) for mount in record.mounts),
        hostname=record.hostname,
        networking=_process_networking(ws, record),
        security=record.security,
        resources=record.resources,
        has_init=record.lifecycle.has_init,
        has_terminal=record.has_terminal,
    )


def _process_networking(ws: Workspace, record: ContainerRecord) -> Networking:
    """Return the network of a container that is about to start, see `container_network.process_networking`."""
    if record.networking.kind in (NetworkKind.HOST, NetworkKind.NONE):
        return record.networking
    from minidock.engine.container_network import process_networking

    return process_networking(ws, record)
