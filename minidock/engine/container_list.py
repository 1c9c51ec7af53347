"""Lists of containers: what `ps` shows, and `system df` of them."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.container import command_text
from minidock.core.networking import NetworkKind
from minidock.core.published import Mapped, shown
from minidock.core.summary import ContainerRow
from minidock.engine import container_filter, images
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError
from minidock.store.containers import Container


def list_containers(
    ws: Workspace,
    filters: Sequence[tuple[str, str]] = (),
    *,
    includes_all: bool = False,
    has_sizes: bool = False,
    count: int | None = None,
) -> tuple[ContainerRow, ...]:
    """Return one row per running container (or per container), newest first, at most ``count``.

    Raises: InvalidRequest, NoSuchContainer for filters that cannot be applied.
    """
    found = container_filter.listed(ws, filters, includes_all=includes_all)
    return tuple(row_of(ws, item, has_sizes=has_sizes) for item in found[:count])


def row_of(ws: Workspace, container: Container, *, has_sizes: bool = False) -> ContainerRow:
    """Return what lists show of a container."""
    record, state = container.record, container.state
    size_rw = _written_size(ws, container) if has_sizes else 0
    size_root = size_rw + _image_size(ws, container) if has_sizes else 0
    return ContainerRow(
        id=record.id,
        image=_image_text(ws, container),
        command=command_text(record.args),
        created=record.created,
        state=state.status,
        exit_code=state.exit_code,
        started_at=state.started_at,
        finished_at=state.finished_at,
        names=(record.name,),
        size_rw=size_rw,
        size_root=size_root,
        ports=_ports(container),
        networks=_networks(container),
        mounts=tuple(mount.source for mount in record.mounts if mount.source),
        local_volumes=len(record.volumes),
        labels=record.labels,
        health=container_filter.health_of(ws, container),
    )


def _ports(container: Container) -> tuple[str, ...]:
    if not container.is_live:
        return ()
    networking = container.record.networking
    exposed = networking.exposed if networking.kind is NetworkKind.PRIVATE else ()
    return shown(exposed, (Mapped(*port) for port in container.state.ports))


def _networks(container: Container) -> tuple[str, ...]:
    networking = container.record.networking
    return tuple(endpoint.network for endpoint in networking.endpoints) or (networking.name,)


def _image_text(ws: Workspace, container: Container) -> str:
    """Return the image's name as the user wrote it, or its ID if another image has the name now."""
    record = container.record
    try:
        is_same = images.find(ws, record.image_name).image_id == record.image_id
    except MinidockError:
        is_same = False
    return record.image_name if is_same else str(record.image_id)


def _image_size(ws: Workspace, container: Container) -> int:
    return sum(ws.store.layers.get(diff_id).size for diff_id in container.record.diff_ids)


def _written_size(ws: Workspace, container: Container) -> int:
    from minidock.engine.changes import written_size  # what compares trees is loaded when somebody asks for sizes

    return written_size(ws, container)
