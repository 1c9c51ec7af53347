"""`run`, first half: from an image and the user's options to a container on disk, ready to be started."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from minidock.core import container as rules
from minidock.core.canonical import dumps
from minidock.core.health import HealthCheck
from minidock.core.lifecycle import LifeCycle
from minidock.core.mounts import MountOption
from minidock.core.namespaces import HOST
from minidock.core.networking import Networking, NetworkKind, NetworkWish, with_ports
from minidock.core.process import ProcessSpec, RootFs, User
from minidock.core.resources import Resources
from minidock.core.security import Security
from minidock.core.signals import parse_signal
from minidock.core.sysctls import check_sysctls
from minidock.engine import events, images, limits, privileges, volumes
from minidock.engine.container_mounts import mounts_of
from minidock.engine.container_removal import finish_removals, remove_container
from minidock.engine.identifiers import new_id, pick
from minidock.engine.image_files import ImageFiles
from minidock.engine.images import Image
from minidock.engine.rootfs import prepared, probe
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, NameConflict
from minidock.runtime.base import Isolation
from minidock.store.container_record import ContainerRecord
from minidock.store.session import Session

DEFAULT_STOP_SIGNAL = "SIGTERM"
_NAME_TRIES = 20

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asks for; what is empty comes from the image.

    ``env`` are ``NAME=value`` or ``NAME``, whose value is taken from ``environment``; ``entrypoint`` is None if not
    given, empty to clear the image's.
    """

    image: str
    args: tuple[str, ...] = ()
    entrypoint: str | None = None
    name: str = ""
    env: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    user: str = ""
    mounts: tuple[MountOption, ...] = ()
    volumes_from: tuple[str, ...] = ()
    network: NetworkWish = field(default_factory=NetworkWish)
    hostname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    platform: str = ""
    security: Security = field(default_factory=Security)
    resources: Resources = field(default_factory=Resources)
    lifecycle: LifeCycle = field(default_factory=LifeCycle)
    is_read_only: bool = False
    auto_remove: bool = False
    is_detached: bool = False
    has_terminal: bool = False
    has_stdin: bool = False


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
    _check(request)
    image = images.find(ws, request.image)
    limits.check(ws, request.resources, warn)
    _check_platform(request, image)
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
            _check_shared(request, networking)
            record = _record(ws, request, image, args, user, networking, is_copied=is_copied)
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


def _check(request: RunRequest) -> None:
    if request.name:
        rules.check_name(request.name)
    if request.stop_signal:
        parse_signal(request.stop_signal)
    rules.working_directory(request.cwd, "")


def _check_platform(request: RunRequest, image: Image) -> None:
    """Refuse an image that is not for the platform that was asked for. Raises: InvalidPlatform, InvalidRequest."""
    if not request.platform:
        return
    from minidock.core.platform import Platform  # rarely asked for, and slow to load

    config = image.config
    actual = Platform(config.os, config.architecture, config.variant)
    wanted = Platform.parse(request.platform, actual)
    if not wanted.matches(actual):
        raise InvalidRequest(
            f"image with reference {request.image} was found but does not provide the specified platform ({wanted})",
            hint=f"it is for {actual}",
        )


def _lifecycle(request: RunRequest, image: Image) -> LifeCycle:
    """Return what was asked for, with the health check that the image has where the user says nothing."""
    config = image.config.config
    try:
        check = HealthCheck.from_json(config.to_json().get("Healthcheck") or {})
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidRequest(f"the health check of {request.image} cannot be understood") from error
    return replace(request.lifecycle, health=request.lifecycle.health.over(check), health_shell=config.shell)


def _record(
    ws: Workspace,
    request: RunRequest,
    image: Image,
    args: Sequence[str],
    user: User,
    networking: Networking,
    *,
    is_copied: bool,
) -> ContainerRecord:
    config = image.config.config
    container_id = new_id()
    # Where nothing can be mounted the volumes of the image are directories of the container's private copy.
    has_mounts = probe(ws).isolation is not Isolation.CHROOT
    image_volumes = config.volumes if has_mounts else ()
    return ContainerRecord(
        id=container_id,
        name=request.name or rules.made_up_name(pick),
        created=ws.clock.now(),
        image_id=image.image_id,
        image_name=request.image,
        diff_ids=image.config.diff_ids,
        args=tuple(args),
        env=rules.chosen_env(config.env, request.env, request.environment),
        cwd=rules.working_directory(request.cwd, config.working_dir),
        user_text=request.user or config.user,
        user=user,
        mounts=mounts_of(ws, request.mounts, request.volumes_from, image_volumes),
        hostname=request.hostname or _hostname(request, container_id),
        networking=networking,
        security=request.security,
        resources=request.resources,
        lifecycle=_lifecycle(request, image),
        is_read_only=request.is_read_only,
        has_terminal=request.has_terminal,
        has_stdin=request.has_stdin,
        stop_signal=request.stop_signal or config.stop_signal or DEFAULT_STOP_SIGNAL,
        labels={**config.labels, **request.labels},
        auto_remove=request.auto_remove,
        # What a container in the foreground prints has been seen; nobody reads it again once it is removed.
        has_log=_has_log(request),
        is_copied=is_copied,
        runtime=ws.runtime.name,
        entrypoint=config.entrypoint if request.entrypoint is None else tuple(filter(None, [request.entrypoint])),
    )


def _hostname(request: RunRequest, container_id: str) -> str:
    return os.uname().nodename if request.security.namespaces.uts == HOST else container_id[:12]


def _check_shared(request: RunRequest, networking: Networking) -> None:
    """Refuse to change what is the host's. Raises: InvalidRequest in docker's words."""
    security = request.security
    names = [name for name, _ in security.sysctls]
    shares_network, shares_ipc = not networking.has_own_namespace, security.namespaces.ipc == HOST
    check_sysctls(names, shares_network=shares_network, shares_ipc=shares_ipc)
    if security.namespaces.uts != HOST:
        return
    if request.hostname:
        raise InvalidRequest("conflicting options: hostname and the UTS mode")
    if networking.domain:
        raise InvalidRequest("conflicting options: domainname and the UTS mode")


def _networking(ws: Workspace, session: Session, wish: NetworkWish, ports: tuple[str, ...]) -> Networking:
    """Return the network of a new container, see `container_network.networking_of`."""
    if wish.is_of_host:
        return replace(wish.options, exposed=with_ports((*ports, *wish.options.exposed), ()))
    from minidock.engine.container_network import (
        networking_of,  # slow to load, and most containers use the host's network
    )

    return networking_of(ws, session, wish, ports)


def _process_networking(ws: Workspace, record: ContainerRecord) -> Networking:
    """Return the network of a container that is about to start, see `container_network.process_networking`."""
    if record.networking.kind in (NetworkKind.HOST, NetworkKind.NONE):
        return record.networking
    from minidock.engine.container_network import process_networking

    return process_networking(ws, record)


def _has_log(request: RunRequest) -> bool:
    if request.lifecycle.log_driver == "none":
        return False
    return request.is_detached or not request.auto_remove or request.has_terminal


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
