"""`update`: other limits for a container, at once if it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from minidock.core.lifecycle import RestartPolicy
from minidock.core.limit_rules import updated
from minidock.core.resources import Resources
from minidock.engine import events, limits
from minidock.engine.containers import started_of
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, MinidockError, RuntimeProblem
from minidock.store.container_record import ContainerRecord


def update(
    ws: Workspace, name: str, changes: Resources, restart: RestartPolicy | None, warn: Callable[[str], None]
) -> None:
    """Change what ``changes`` gives, and leave the rest; ``restart`` is None if it stays.

    Raises: NoSuchContainer, InvalidRequest in docker's words, MinidockError if the kernel refuses.
    """
    container = ws.store.containers.find(name)
    record = container.record
    if restart is not None and restart.is_active and record.auto_remove:
        raise InvalidRequest("Restart policy cannot be updated because AutoRemove is enabled for the container")
    wanted = updated(record.resources, changes)
    warnings: list[str] = []  # told once it has succeeded
    limits.check(ws, replace(wanted, without_effect=changes.without_effect), warnings.append, is_update=True)
    if container.has_process and changes != Resources():
        try:
            ws.runtime.limit(started_of(container), container.id, _to_change(changes, wanted))
        except RuntimeProblem as error:
            raise MinidockError(f"Cannot update container {container.id}: {error}", hint=error.hint) from error

    def change(before: ContainerRecord) -> ContainerRecord:
        life = before.lifecycle if restart is None else replace(before.lifecycle, restart=restart)
        return replace(before, resources=updated(before.resources, changes), lifecycle=life)

    ws.store.containers.change(container.id, change)
    events.tell(ws, record, "update")
    for warning in warnings:
        warn(warning)


def _to_change(changes: Resources, wanted: Resources) -> Resources:
    """Return the limits to be set; one of memory and one of memory with swap depend on each other."""
    if changes.memory or changes.memory_swap:
        changes = replace(changes, memory=wanted.memory, memory_swap=wanted.whole_memory)
    if changes.cpu_quota or changes.cpu_period:
        changes = replace(changes, cpu_quota=wanted.cpu_quota, cpu_period=wanted.cpu_period)
    return changes
