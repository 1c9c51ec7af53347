"""Who put a path into an image, changed it, and took it away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidock.core import units
from minidock.core.blame import Deed, StepTouch, Touch, Trail
from minidock.core.entries import FILE, SYMLINK, Entry
from minidock.core.image_steps import ImageStep
from minidock.core.stored_files import LayerBytes
from minidock.render import cells
from minidock.render.console import Console
from minidock.render.fields import CREATED_BY_CELLS
from minidock.render.formats import Format, json_text
from minidock.render.image_contents import shown_path

_STEP = ("LINE", "INSTRUCTION", "LAYER")


def print_blame(
    console: Console,
    image: str,
    path: str,
    entry: Entry | None,
    touches: Sequence[StepTouch],
    shares: Sequence[tuple[ImageStep, int, LayerBytes]],
    *,
    shape: Format = Format.TABLE,
    is_cut: bool = True,
) -> None:
    """Print what stands at the path in the end, what each step did to it, oldest first, and to what is below it."""
    if shape is not Format.TABLE:
        members = _members(path, entry, touches, shares)
        console.out.write(f"{json_text(members)}\n" if shape is Format.JSON else shape.document(members))
        return
    state = f"is not in {image}" if entry is None else f"in {image}: {_state(entry)}"
    console.out.write(f"{shown_path(path)} {state}\n\n")
    console.out.write(_touches_table(touches, path, is_cut=is_cut))
    for touch in touches:
        _print_trail(console, touch, is_cut=is_cut)
    _print_shares(console, shares, is_cut=is_cut)


def _print_shares(console: Console, shares: Sequence[tuple[ImageStep, int, LayerBytes]], *, is_cut: bool) -> None:
    if shares:
        console.out.write("\nbelow it:\n\n")
        console.out.write(_shares_table(shares, is_cut=is_cut))


def _touches_table(touches: Sequence[StepTouch], path: str, *, is_cut: bool) -> str:
    rows = [(*_step_cells(item.step, is_cut=is_cut), _deed(item.touch, path)) for item in touches]
    return cells.table((*_STEP, "WHAT"), rows)


def _print_trail(console: Console, taken: StepTouch, *, is_cut: bool) -> None:
    """Print how a path came to be in the stage or image that a step took it from, and so on."""
    trail = taken.trail
    if trail is None:
        return
    origin = cells.one_line(f"{'stage' if trail.copied.is_stage else 'image'} {trail.copied.name}")
    if trail.path is None:
        console.out.write(f"\n{taken.step.lines} took it from {origin}: {_gone(trail)}\n")
        return
    console.out.write(f"\n{taken.step.lines} took it from {shown_path(trail.path)} of {origin}:\n\n")
    console.out.write(_touches_table(trail.touches, trail.path, is_cut=is_cut))
    _print_shares(console, trail.shares, is_cut=is_cut)
    for touch in trail.touches:
        _print_trail(console, touch, is_cut=is_cut)


def _gone(trail: Trail) -> str:
    again = "a build that makes it again tells more" if trail.copied.is_stage else "pull or build it again to see more"
    return f"its layers are no longer in this store ({again})"


def _shares_table(shares: Sequence[tuple[ImageStep, int, LayerBytes]], *, is_cut: bool) -> str:
    rows = [
        (
            *_step_cells(step, is_cut=is_cut),
            f"{count:,}",
            *map(units.human_size, (sums.added, sums.hidden, sums.duplicate)),
        )
        for step, count, sums in shares
    ]
    return cells.table((*_STEP, "FILES", "SIZE", "HIDDEN", "DUPLICATED"), rows)


def _step_cells(step: ImageStep, *, is_cut: bool) -> tuple[str, str, str]:
    lines = "" if step.lines is None else cells.one_line(str(step.lines))
    instruction = " ".join(cells.one_line(step.instruction).split())
    layer = "" if step.diff_id is None else step.diff_id.short if is_cut else str(step.diff_id)
    return lines, cells.cut(instruction, CREATED_BY_CELLS) if is_cut else instruction, layer


def _state(entry: Entry) -> str:
    """Return what an entry is, in words: ``file, 20MB, mode 0644, owner 0:0``."""
    if entry.kind == SYMLINK:
        return cells.one_line(f"symlink to {entry.linkname}")
    size = (units.human_size(entry.size),) if entry.kind == FILE else ()
    return ", ".join((entry.kind, *size, f"mode {entry.mode:04o}", f"owner {entry.uid}:{entry.gid}"))


def _deed(touch: Touch, path: str) -> str:
    changes = cells.one_line(", ".join(difference.text for difference in touch.differences))
    size = units.human_size(touch.entry.size) if touch.entry is not None and touch.entry.kind == FILE else ""
    match touch.deed:
        case Deed.ADDED:
            assert touch.entry is not None
            kind = touch.entry.kind if touch.entry.kind != FILE else ""
            link = f"hard link to {shown_path(touch.link)}" if touch.link else ""
            return ", ".join(filter(None, (f"added {kind}".rstrip(), link, size)))
        case Deed.CONTENT:
            return f"overwritten, {size}" + _more(changes, ("content",)) if size else changes
        case Deed.ATTRIBUTES:
            return changes + (f" (the same content, stored again: {size})" if size else "")
        case Deed.TYPE:
            return f"replaced: {changes}" + (f", {size}" if size else "")
        case Deed.STORED_AGAIN:
            return f"stored again as it was: {size}"
        case Deed.DELETED | Deed.EMPTIED | Deed.REPLACED:
            return _taken(touch, path)


def _more(changes: str, known: Sequence[str]) -> str:
    others = [text for text in changes.split(", ") if text not in known]
    return "".join(f", {text}" for text in others)


def _taken(touch: Touch, path: str) -> str:
    cause = shown_path(touch.cause)
    if touch.deed is Deed.DELETED:
        return "deleted" if touch.cause == path else f"deleted with {cause}"
    if touch.deed is Deed.EMPTIED:
        return "emptied, then filled anew" if touch.cause == path else f"gone: {cause} was emptied"
    return f"gone: {cause} is no directory any more"


def _members(
    path: str,
    entry: Entry | None,
    touches: Sequence[StepTouch],
    shares: Sequence[tuple[ImageStep, int, LayerBytes]],
) -> dict[str, Any]:
    return {
        "Path": shown_path(path),
        "Type": "" if entry is None else entry.kind,
        "Steps": _touch_members(touches, path),
        "Below": _share_members(shares),
    }


def _share_members(shares: Sequence[tuple[ImageStep, int, LayerBytes]]) -> list[dict[str, Any]]:
    return [
        {
            **_step_members(step),
            "Files": count,
            "Size": sums.added,
            "Hidden": sums.hidden,
            "Duplicated": sums.duplicate,
        }
        for step, count, sums in shares
    ]


def _touch_members(touches: Sequence[StepTouch], path: str) -> list[dict[str, Any]]:
    return [
        {
            **_step_members(step),
            "Deed": touch.deed.value,
            "What": _deed(touch, path),
            "Size": touch.entry.size if touch.entry is not None else 0,
            "From": None if trail is None else _trail_members(trail),
        }
        for step, touch, trail in touches
    ]


def _trail_members(trail: Trail) -> dict[str, Any]:
    return {
        "Kind": "stage" if trail.copied.is_stage else "image",
        "Name": trail.copied.name,
        "Image": str(trail.copied.image_id),
        "Path": "" if trail.path is None else shown_path(trail.path),
        "Missing": _gone(trail) if trail.path is None else "",
        "Steps": [] if trail.path is None else _touch_members(trail.touches, trail.path),
        "Below": _share_members(trail.shares),
    }


def _step_members(step: ImageStep) -> dict[str, Any]:
    return {
        "Line": "" if step.lines is None else str(step.lines),
        "Instruction": step.instruction,
        "Layer": "" if step.diff_id is None else str(step.diff_id),
    }
