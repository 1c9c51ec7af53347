"""What is in images and their layers, what differs between two, who put a path there: only indexes are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from minidock.core.blame import StepShare, StepTouch, Touch, Trail, normal_path, source_of, touches
from minidock.core.digest import Digest
from minidock.core.entries import Entry, Tree
from minidock.core.image_steps import ImageStep, image_steps, layer_steps
from minidock.core.step_lines import CopiedFrom
from minidock.core.stored_files import layer_bytes, stored_files
from minidock.core.tree_changes import TreeDiff, tree_diff
from minidock.engine import images
from minidock.engine.image_layers import entries_of, image_layers, steps_of
from minidock.engine.workspace import Workspace
from minidock.errors import BlobNotFound, InvalidRequest, NoSuchImage, NoSuchPath, StoreError

_SHORTEST_DIGEST = 4


class Blame(NamedTuple):
    """Who did what to a path of an image, oldest first.

    ``path`` is the real one if what was asked for leads there through links; ``entry`` is what stands there in the
    end, None if nothing does. ``shares`` are those of a directory.
    """

    path: str
    entry: Entry | None
    touches: tuple[StepTouch, ...]
    shares: tuple[StepShare, ...]


def files(ws: Workspace, name: str, layer: str = "") -> tuple[Entry, ...]:
    """Return the entries of an image's merged tree, or as they stand in one layer, sorted by path.

    ``layer`` is its number, 1 for the base, or its digest or the beginning of that.
    Raises: NoSuchImage, InvalidReference, InvalidRequest.
    """
    diff_ids = images.find(ws, name).config.diff_ids
    if not layer:
        return tuple(ws.store.layers.tree(diff_ids).entries())
    entries = ws.store.layers.entries(_find_layer(name, diff_ids, layer))
    return tuple(sorted(entries, key=lambda entry: (entry.path, not entry.is_deletion)))


def _find_layer(name: str, diff_ids: tuple[Digest, ...], wanted: str) -> Digest:
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(diff_ids):
        return diff_ids[int(wanted) - 1]
    prefix = wanted.removeprefix("sha256:")
    found = {diff_id for diff_id in diff_ids if diff_id.hex.startswith(prefix) and len(prefix) >= _SHORTEST_DIGEST}
    if len(found) == 1:
        return found.pop()
    count = "1 layer" if len(diff_ids) == 1 else f"{len(diff_ids)} layers, 1 is the base"
    problem = f"more than one layer begins with {wanted}" if found else f"no layer {wanted}"
    raise InvalidRequest(f"{name}: {problem}", hint=f"it has {count}; `minidock history --lines {name}` shows digests")


def diff(ws: Workspace, before: str, after: str, *, has_times: bool = False) -> TreeDiff:
    """Return what differs between the files of two images. Raises: NoSuchImage, InvalidReference."""
    first, second = (images.find(ws, name).config.diff_ids for name in (before, after))
    entries = {diff_id: ws.store.layers.entries(diff_id) for diff_id in dict.fromkeys((*first, *second))}
    trees = (Tree.fold(entries[diff_id] for diff_id in diff_ids) for diff_ids in (first, second))
    return tree_diff(*trees, has_times=has_times)


def blame(ws: Workspace, name: str, wanted: str) -> Blame:
    """Return who put a path into an image, changed it and took it away.

    Raises: NoSuchImage, InvalidReference, NoSuchPath if it was never there.
    """
    found = image_layers(ws, name)
    steps = layer_steps(found.steps)
    path = normal_path(wanted)
    story = touches(found.entries, path)
    if not story:
        path = _real_path(found.entries, path)
        story = touches(found.entries, path)
    if not story:
        raise NoSuchPath(f"/{normal_path(wanted)}", name)
    shares = _shares(steps, found.entries, path)
    return Blame(path, story[-1].entry, _step_touches(ws, steps, found.entries, path, story), shares)


def _shares(steps: Sequence[ImageStep], layers: Sequence[Sequence[Entry]], path: str) -> tuple[StepShare, ...]:
    return tuple(
        StepShare(step, len(below), layer_bytes(below))
        for step, stored in zip(steps, stored_files(layers), strict=True)
        if (below := [file for file in stored if is_below(file.entry.path, path)])
    )


def _step_touches(
    ws: Workspace, steps: Sequence[ImageStep], layers: Sequence[Sequence[Entry]], path: str, story: Sequence[Touch]
) -> tuple[StepTouch, ...]:
    """Return the steps that touched a path, and how it came to be where a COPY --from took it from."""
    found = []
    for touch in story:
        step = steps[touch.layer]
        copied = step.lines.copied if step.lines is not None and touch.entry is not None else None
        trail = None if copied is None else _trail(ws, copied, path, layers[: touch.layer])
        found.append(StepTouch(step, touch, trail))
    return tuple(found)


def _trail(ws: Workspace, copied: CopiedFrom, path: str, below: Sequence[Sequence[Entry]]) -> Trail | None:
    """Return what was done to a path in the stage or image that a COPY took it from; None if it was not there."""
    try:
        image = images.load(ws, copied.image_id)
        layers = entries_of(ws, image.config.diff_ids)
    except (NoSuchImage, BlobNotFound):
        return Trail(copied, None)
    source = source_of(copied, path, Tree.fold(layers), Tree.fold(below))
    if source is None:
        return None
    steps = layer_steps(image_steps(image.config, copied.lines) if copied.is_stage else steps_of(ws, image))
    story = touches(layers, source)
    return Trail(copied, source, _step_touches(ws, steps, layers, source, story), _shares(steps, layers, source))


def _real_path(layers: Iterable[Sequence[Entry]], path: str) -> str:
    try:
        return Tree.fold(layers).resolve(path, follow_last=False)
    except StoreError:  # links in a circle lead nowhere
        return path


def is_below(path: str, directory: str) -> bool:
    """Whether a path is in a directory, or further down."""
    return path.startswith(f"{directory}/") if directory else bool(path)
