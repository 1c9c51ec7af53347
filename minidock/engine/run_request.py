"""What the user asks of `run` and `create`, and the record of the container that an image and this make."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from minidock.core import container as rules
from minidock.core.dataclass import dataclass
from minidock.core.health import HealthCheck
from minidock.core.lifecycle import LifeCycle
from minidock.core.mounts import MountOption
from minidock.core.namespaces import HOST
from minidock.core.networking import Networking, NetworkKind, NetworkWish
from minidock.core.process import User
from minidock.core.resources import Resources
from minidock.core.security import Security
from minidock.core.signals import parse_signal
from minidock.core.sysctls import check_sysctls
from minidock.engine.container_mounts import mounts_of
from minidock.engine.identifiers import new_id, pick
from minidock.engine.images import Image
from minidock.engine.rootfs import probe
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest
from minidock.runtime.base import Isolation
from minidock.store.container_record import ContainerRecord

DEFAULT_STOP_SIGNAL = "SIGTERM"


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


def check(request: RunRequest) -> None:
    """Refuse values that no image could make right. Raises: InvalidRequest, InvalidSignal."""
    if request.name:
        rules.check_name(request.name)
    if request.stop_signal:
        parse_signal(request.stop_signal)
    rules.working_directory(request.cwd, "")


def check_platform(request: RunRequest, image: Image) -> None:
    """Refuse an image that is not for the platform that was asked for. Raises: InvalidPlatform, InvalidRequest."""
    if not request.platform:
        return
    from minidock.core.platform import Platform  # rarely asked for, and slow to load

    config = image.config
    actual = config.platform
    wanted = Platform.parse(request.platform, actual)
    if not wanted.matches(actual):
        raise InvalidRequest(
            f"image with reference {request.image} was found but does not provide the specified platform ({wanted})",
            hint=f"it is for {actual}",
        )


def check_shared(request: RunRequest, networking: Networking) -> None:
    """Refuse to change what is the host's or another container's. Raises: InvalidRequest in docker's words."""
    security = request.security
    names = [name for name, _ in security.sysctls]
    shares_network, shares_ipc = not networking.has_own_namespace, security.namespaces.ipc == HOST
    check_sysctls(names, shares_network=shares_network, shares_ipc=shares_ipc)
    if request.hostname and networking.kind is NetworkKind.CONTAINER:
        raise InvalidRequest("conflicting options: hostname and the network mode")
    if security.namespaces.uts != HOST:
        return
    if request.hostname:
        raise InvalidRequest("conflicting options: hostname and the UTS mode")
    if networking.domain:
        raise InvalidRequest("conflicting options: domainname and the UTS mode")


def record_of(
    ws: Workspace,
    request: RunRequest,
    image: Image,
    args: Sequence[str],
    user: User,
    networking: Networking,
    *,
    is_copied: bool,
) -> ContainerRecord:
    """Return the record of a new container, under a new ID; what the user did not say comes from the image.

    Raises: InvalidRequest, NoSuchContainer (of `--volumes-from`).
    """
    config = image.config.config
    container_id = new_id()
    # Where nothing can be mounted the volumes of the image are directories of the container's private copy.
    has_mounts = probe(ws).isolation is not Isolation.CHROOT
    image_volumes = config.volumes if has_mounts else ()
    return ContainerRecord(
        id=container_id,
        name=rules.check_name(request.name) if request.name else rules.made_up_name(pick),
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


def _lifecycle(request: RunRequest, image: Image) -> LifeCycle:
    """Return what was asked for, with the health check that the image has where the user says nothing."""
    config = image.config.config
    try:
        check = HealthCheck.from_json(config.to_json().get("Healthcheck") or {})
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidRequest(f"the health check of {request.image} cannot be understood") from error
    return replace(request.lifecycle, health=request.lifecycle.health.over(check), health_shell=config.shell)


def _hostname(request: RunRequest, container_id: str) -> str:
    return os.uname().nodename if request.security.namespaces.uts == HOST else container_id[:12]


def _has_log(request: RunRequest) -> bool:
    if request.lifecycle.log_driver:
        return request.lifecycle.log_driver != "none"
    return request.is_detached or not request.auto_remove or request.has_terminal
