"""Removes a whole store, also one that can no longer be opened."""

from __future__ import annotations

import os

from minidock.engine import container_removal
from minidock.engine.workspace import open_workspace
from minidock.errors import MinidockError, StoreError, StoreUnwritable
from minidock.store import session as sessions
from minidock.store.layout import DIRECTORIES, Layout
from minidock.store.locks import Locks, Waiting
from minidock.store.measure import allocated
from minidock.store.writer import Disk, explained, remove_tree

# Names first, and last what says that this is a store: a reset that was cut off can be repeated.
_FIRST = ("index.json", "containers", "cache", "snapshots", "layers", "forms", "blobs")
_FILES = ("index.json", "probe.json", "events", "events.1", "reserve")
_LAST = ("locks", "oci-layout", "minidock.json")


def reset(root: str, *, is_forced: bool, waiting: Waiting | None = None, disk: Disk | None = None) -> int:
    """Remove the store at ``root`` with everything in it; return the bytes that came back, 0 if there is none.

    Raises: MinidockError while containers run or another minidock writes, unless forced; containers are ended then.
    """
    layout = Layout(root.rstrip("/") or "/")
    disk = disk or Disk()
    names = _content(layout)
    if not names:
        return 0
    _end_containers(root, is_forced=is_forced)
    if not is_forced and sessions.living(layout):
        raise MinidockError(
            "another minidock is writing to the store", hint="wait until it has finished, or use --force"
        )
    ordered = [name for name in _FIRST if name in names]
    ordered += sorted(names - {*_FIRST, *_LAST})
    with explained(layout.root):
        if "locks" in names:
            with Locks(layout, disk, waiting).exclusive_gc():
                size = _remove(disk, layout, ordered)
        else:
            size = _remove(disk, layout, ordered)
        size += _remove(disk, layout, [name for name in _LAST if name in names])
        own = allocated([layout.root])
        try:
            disk.rmdir(layout.root)
        except OSError:
            return size  # a mount point, or a directory whose parent is not ours: it stays, empty
    return size + own


def _content(layout: Layout) -> set[str]:
    """Return the names in the store's directory. Raises: StoreUnwritable if it holds anything that no store has."""
    try:
        names = set(os.listdir(layout.root))
    except FileNotFoundError:
        return set()
    except NotADirectoryError as error:
        raise StoreUnwritable(f"{layout.root} is not a directory") from error
    except PermissionError as error:
        raise StoreUnwritable(f"{layout.root} belongs to another user") from error
    known = {name.partition("/")[0] for name in DIRECTORIES} | {
        "index.json",
        "probe.json",
        "events",
        "events.1",
        "reserve",
        *_LAST,
    }
    strangers = {name for name in names - known if name.rpartition(".")[0] not in known and name[:7] != ".probe-"}
    if strangers:
        raise StoreUnwritable(
            f"{layout.root} is not a minidock store (it holds {min(strangers)}): nothing was removed",
            hint="choose the store with --root or MINIDOCK_ROOT",
        )
    return names


def _end_containers(root: str, *, is_forced: bool) -> None:
    """End what runs if that is allowed. A store that cannot be opened any more has nothing that could be ended."""
    try:
        ws = open_workspace(root)
        running = [container for container in ws.store.containers.list() if container.is_watched]
    except StoreError:
        return
    if running and not is_forced:
        raise MinidockError(
            f"{len(running)} containers are running: {' '.join(item.record.name for item in running)}",
            hint="stop them with `minidock stop`, or use --force",
        )
    for container in running:
        container_removal.remove(ws, container.id, is_forced=True)


def _remove(disk: Disk, layout: Layout, names: list[str]) -> int:
    return sum(remove_tree(disk, layout.path(name)) for name in names)
