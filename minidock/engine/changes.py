"""What a container changed in its root file system."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from minidock.core.entries import FILE, OPAQUE, WHITEOUT, Tree, ancestors, parent_of
from minidock.engine.workspace import Workspace
from minidock.store.containers import Container
from minidock.store.scan import Found, Owners, compare_copy, scan_upper

ADDED, CHANGED, DELETED = "A", "C", "D"
# What the runtime puts into every container while it runs.
_MADE_BY_RUNTIME = ("dev", "proc", "sys", "etc/resolv.conf", "etc/hosts", "etc/hostname")


@dataclass(frozen=True, slots=True)
class Change:
    """One path (absolute) that was added, changed or deleted."""

    kind: str
    path: str


def changes(ws: Workspace, name: str) -> tuple[Change, ...]:
    """Return what a container changed, by path. Raises: NoSuchContainer."""
    container = ws.store.containers.find(name)
    lower = ws.store.layers.tree(container.record.diff_ids)
    kinds: dict[str, str] = {}
    for item in _found(ws, container, lower):
        path, kind = item.entry.path, item.entry.kind
        if kind == WHITEOUT:
            kinds[path] = DELETED
        elif kind == OPAQUE:
            kinds.update({entry.path: DELETED for entry in lower.below(path) if entry.path not in kinds})
        elif path:
            kinds[path] = CHANGED if path in lower else ADDED
    if container.has_process:
        _without_mount_points(kinds, container)
    gone = {path for path, kind in kinds.items() if kind == DELETED}
    return tuple(
        Change(kind, f"/{path}")
        for path, kind in sorted(kinds.items())
        if kind != DELETED or not gone.intersection(ancestors(path))
    )


def _without_mount_points(kinds: dict[str, str], container: Container) -> None:
    """Leave out what was made to mount something on, and directories made for nothing else."""
    targets = {*_MADE_BY_RUNTIME, *(mount.target.lstrip("/") for mount in container.record.mounts)}
    made = {path for path in targets if kinds.get(path) == ADDED}
    for path in sorted(made, reverse=True):
        del kinds[path]
        above = parent_of(path)
        while above in kinds and not any(other.startswith(f"{above}/") for other in kinds):
            del kinds[above]
            above = parent_of(above)


def written_size(ws: Workspace, container: Container) -> int:
    """Return the content bytes of the files that a container wrote."""
    lower = ws.store.layers.tree(container.record.diff_ids) if container.record.is_copied else Tree()
    return sum(item.entry.size for item in _found(ws, container, lower) if item.entry.kind == FILE)


def _found(ws: Workspace, container: Container, lower: Tree) -> list[Found]:
    store, record = ws.store, container.record
    upper = store.containers.path(record.id, "upper")
    owners = Owners(store.id_mode, lower, (record.user.uid, record.user.gid))
    if not record.is_copied:
        return scan_upper(store.disk, upper, owners)
    with open(store.containers.path(record.id, "baseline"), "rb") as file:
        members: Mapping[str, list[int]] = json.load(file)
    baseline = {path: (values[0], values[1], values[2], values[3], values[4]) for path, values in members.items()}
    return compare_copy(store.disk, upper, owners, baseline)
