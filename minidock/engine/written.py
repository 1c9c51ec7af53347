"""The files that a container has written, as the entries of a layer on top of its image's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from minidock.core.entries import DIRECTORY, FILE, WHITEOUT, Tree, ancestors, parent_of
from minidock.engine.at_rest import at_rest
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, NoSuchContainer
from minidock.store.containers import Container
from minidock.store.layers import Layer
from minidock.store.notes import read_notes
from minidock.store.scan import Found, Owners, compare_copy, opened, scan_upper
from minidock.store.session import Session
from minidock.store.store import Store

# What the runtime puts into every container while it runs.
MADE_BY_RUNTIME = ("dev", "proc", "sys", "etc/resolv.conf", "etc/hosts", "etc/hostname")
_FILLED_BY_RUNTIME = ("dev/", "proc/", "sys/")
_LOOKS = 5


@contextmanager
def written(ws: Workspace, container: Container) -> Iterator[tuple[Tree, list[Found]]]:
    """Yield the tree of a container's image, and what the container changed in it, sorted by path.

    Their contents can be read inside only. What was made only to mount something on is left out, and so is the root if
    nothing at all has changed. One that does not run is kept from being started. Raises: InvalidRequest,
    NoSuchContainer if it is removed meanwhile.
    """
    store, record = ws.store, container.record
    lower = store.layers.tree(record.diff_ids)
    upper = store.containers.path(record.id, "upper")
    # A plain user's own modes are changed for the time, which two at once would get wrong.
    is_plain = bool(os.geteuid())
    resting = at_rest(ws, container, exclusive=is_plain)
    with _explained(ws, container), resting as (current, _), opened(store.disk, upper) as modes:
        yield lower, _found(ws, current, lower, modes)


def written_now(ws: Workspace, container: Container) -> tuple[Tree, list[Found]]:
    """Return what `written` yields without keeping anything from changing: for lists, not for contents.

    Raises: InvalidRequest, NoSuchContainer if it is removed meanwhile.
    """
    lower = ws.store.layers.tree(container.record.diff_ids)
    with _explained(ws, container):
        return lower, _found(ws, container, lower, {})


@contextmanager
def _explained(ws: Workspace, container: Container) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if os.path.exists(ws.store.containers.path(container.id, "upper")):
            raise InvalidRequest(f"a file of container {container.id} went away while it was read: {error}") from error
        raise NoSuchContainer(container.id) from error


def _found(ws: Workspace, container: Container, lower: Tree, modes: Mapping[str, int]) -> list[Found]:
    """Return what the container changed; files that come and go while it runs get more than one chance."""
    store, record = ws.store, container.record
    upper = store.containers.path(record.id, "upper")
    notes = read_notes(store.containers.path(record.id, "owners"))
    owners = Owners(store.id_mode, lower, (record.user.uid, record.user.gid), notes)
    for is_last in (False,) * (_LOOKS - 1) + (True,):
        try:
            if record.is_copied:
                found = compare_copy(store.disk, upper, owners, _baseline(ws, container), modes)
            else:
                found = scan_upper(store.disk, upper, owners, modes)
            return _of_its_own(found, lower, container)
        except FileNotFoundError:
            if is_last or not container.has_process:
                raise
    raise AssertionError("the last look ends or fails")


def _baseline(ws: Workspace, container: Container) -> dict[str, tuple[int, int, int, int, int]]:
    with open(ws.store.containers.path(container.id, "baseline"), "rb") as file:
        members: Mapping[str, list[int]] = json.load(file)
    return {path: (values[0], values[1], values[2], values[3], values[4]) for path, values in members.items()}


def _of_its_own(found: Sequence[Found], lower: Tree, container: Container) -> list[Found]:
    """Return what the container itself changed, without mount points, and directories that only these have changed."""
    kept = {item.entry.path: item for item in found}
    if container.has_process:
        # Nothing is mounted where there are no namespaces: devices stand in the files themselves.
        kept = {path: item for path, item in kept.items() if not path.startswith(_FILLED_BY_RUNTIME)}
        targets = {*MADE_BY_RUNTIME, *(mount.target.lstrip("/") for mount in container.record.mounts)}
        touched = {directory for path in targets for directory in ancestors(path)}
        for path in sorted({*targets, *touched}, reverse=True):
            item = kept.get(path)
            if item is None or item.entry.kind == WHITEOUT or any(parent_of(other) == path for other in kept if other):
                continue
            below = lower.get(path)
            is_made = below is None and (path in targets or item.entry.kind == DIRECTORY)
            if is_made or (below is not None and item.entry._replace(mtime=below.mtime) == below):
                del kept[path]
    return [] if set(kept) <= {""} else list(kept.values())


def write_layer(store: Store, session: Session, found: Sequence[Found], *, is_written_to: bool = False) -> Layer:
    """Store changes as a layer; of files that are still written to, as much as there was when they were found.

    Raises: ContentChanged.
    """
    writer = store.layers.writer(session)
    try:
        for item in found:
            if item.entry.kind != FILE:
                writer.add(item.entry)
                continue
            fd = os.open(item.source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                writer.add_file(item.entry, fd, 0 if is_written_to else None)
            finally:
                os.close(fd)
    except BaseException:
        writer.discard()
        raise
    return writer.finish(store.layers, session)
