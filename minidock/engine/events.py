"""What has happened to containers and the rest: written down by whoever does it, shown by `events`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minidock.engine.workspace import Workspace
    from minidock.store.container_record import ContainerRecord


def tell(ws: Workspace, record: ContainerRecord, action: str, **attributes: str) -> None:
    """Write down that ``action`` (docker's word) has happened to a container."""
    actor = {**record.labels, "image": record.image_name, "name": record.name, **attributes}
    ws.store.record_event("container", action, record.id, actor)
