"""The contents of the files that a container changed, before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from minidock.core.container_changes import DELETED, Change, changes_of
from minidock.core.entries import FILE, SYMLINK, Entry
from minidock.core.file_patch import MOST_BYTES, FilePatch
from minidock.core.text_diff import is_text
from minidock.engine.both_sides import Sides, both_sides
from minidock.engine.workspace import Workspace
from minidock.errors import StoreError
from minidock.store.content import Stretch
from minidock.store.shared_content import shared_size


def patches(ws: Workspace, name: str, show: Callable[[FilePatch], None]) -> None:
    """Call ``show`` with every path that a container changed, by path, while its contents can be read.

    One that is another kind of thing now is told as a deletion and an addition.
    Raises: NoSuchContainer, InvalidRequest.
    """
    with both_sides(ws, ws.store.containers.find(name)) as sides:
        for change in changes_of(sides.lower, sides.entries):
            for before, after in _pairs(sides, change):
                show(_patch(sides, before, after))


def _pairs(sides: Sides, change: Change) -> Iterator[tuple[Entry | None, Entry | None]]:
    before, after = change.before, change.after
    if change.kind == DELETED or (before and after and before.kind != after.kind):
        yield before, None
        for entry in sides.lower.below(change.path[1:]):
            yield entry, None
        if after is not None:
            yield None, after
    else:
        yield before, after


def _patch(sides: Sides, before: Entry | None, after: Entry | None) -> FilePatch:
    entry = after or before
    assert entry is not None
    try:
        with ExitStack() as stack:
            old = sides.of_image(before) if before and before.kind == FILE else None
            new = stack.enter_context(sides.of_container(after.path)) if after and after.kind == FILE else None
            sizes = (old.size if old else 0, new.size if new else 0)
            one, other = _text(before, old), _text(after, new)
            if one is not None and other is not None:
                is_same = before is not None and after is not None and one == other
                return FilePatch(entry.path, before, after, (one, other), is_same, sizes)
            is_same = old is not None and new is not None and old.size == new.size == shared_size(old, new)
            return FilePatch(entry.path, before, after, None, is_same, sizes)
    except (OSError, StoreError) as error:  # the container runs, and did something to the file
        problem = str(error) if isinstance(error, StoreError) else (error.strerror or str(error)).lower()
        return FilePatch(entry.path, before, after, problem=problem)


def _text(entry: Entry | None, content: Stretch | None) -> bytes | None:
    """Return what is compared line by line, None if that is not to be done."""
    if content is None:
        is_link = entry is not None and entry.kind == SYMLINK
        return entry.linkname.encode("utf-8", "surrogateescape") if entry is not None and is_link else b""
    if content.size > MOST_BYTES:
        return None
    data = content.read(0, content.size)
    return data if is_text(data) else None
