"""Gives a container another name."""

from __future__ import annotations

from dataclasses import replace

from minidock.core.container import check_name
from minidock.engine import events
from minidock.engine.container_removal import finish_removals
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest


def rename(ws: Workspace, name: str, new_name: str) -> None:
    """Give a container another name. Raises: NoSuchContainer, InvalidRequest, NameConflict."""
    container = ws.store.containers.find(name)
    wanted = new_name.removeprefix("/")
    if not wanted or wanted == container.record.name:
        raise InvalidRequest(
            "Neither old nor new names may be empty"
            if not wanted
            else "Renaming a container with the same name as its current name"
        )
    check_name(wanted)
    with ws.store.session() as session:
        finish_removals(ws, session)
        record = ws.store.containers.change(container.id, lambda record: replace(record, name=wanted))
    events.tell(ws, record, "rename", oldName=f"/{container.record.name}")
