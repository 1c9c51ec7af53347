"""What a container changed in its root file system, what that takes, and the contents before and after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from minidock.core.container_changes import KEPT, Change, ContainerSizes, changes_of, hidden_size
from minidock.core.entries import FILE, HARDLINK, Tree, content_size
from minidock.core.tree_changes import tree_size
from minidock.engine.both_sides import Sides, both_sides
from minidock.engine.workspace import Workspace
from minidock.engine.written import written_now
from minidock.errors import StoreError
from minidock.store.containers import Container
from minidock.store.scan import Found, Owners, scan_upper
from minidock.store.shared_content import shared_size


def changes(ws: Workspace, name: str) -> tuple[Change, ...]:
    """Return what a container changed, by path. Raises: NoSuchContainer, InvalidRequest."""
    lower, found = written_now(ws, ws.store.containers.find(name))
    return changes_of(lower, [item.entry for item in found])


def written_size(ws: Workspace, container: Container) -> int:
    """Return the content bytes of the files that a container wrote."""
    if container.record.is_copied:
        return content_size(item.entry for item in written_now(ws, container)[1])
    return content_size(item.entry for item in _all_of_upper(ws, container))


def _all_of_upper(ws: Workspace, container: Container) -> list[Found]:
    """Return all that an overlay's upper directory holds, also what is as in the image."""
    store, record = ws.store, container.record
    owners = Owners(store.id_mode, Tree(), (record.user.uid, record.user.gid))
    return scan_upper(store.disk, store.containers.path(record.id, "upper"), owners)


def sizes(ws: Workspace, name: str) -> ContainerSizes:
    """Return what a container changed with the bytes that it takes, and what was copied up for nothing.

    Raises: NoSuchContainer, InvalidRequest.
    """
    container = ws.store.containers.find(name)
    with both_sides(ws, container) as sides:
        found = list(changes_of(sides.lower, sides.entries))
        copied = 0
        if container.record.is_copied:
            copied = tree_size(sides.lower.entries())
        else:
            found += _kept(sides.lower, {change.path for change in found}, _all_of_upper(ws, container))
        sized = tuple(_with_copied(sides, change) for change in sorted(found, key=lambda change: change.path))
        return ContainerSizes(sized, hidden_size(sides.lower, sized), copied)


def _kept(lower: Tree, changed: set[str], everything: list[Found]) -> Iterator[Change]:
    """Yield the files that were copied up and are as in the image."""
    for item in everything:
        entry = item.entry
        before = lower.get(entry.path)
        if entry.kind in (FILE, HARDLINK) and f"/{entry.path}" not in changed and before is not None:
            yield Change(KEPT, f"/{entry.path}", before, entry, before.size)


def _with_copied(sides: Sides, change: Change) -> Change:
    before, after = change.before, change.after
    if before is None or after is None or not change.size or before.kind != FILE:
        return change
    with suppress(OSError, StoreError), sides.of_container(change.path[1:]) as own:
        return replace(change, copied_size=shared_size(sides.of_image(before), own))
    return change  # it went away meanwhile
