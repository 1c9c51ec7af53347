"""What an image stores for nothing: which step is to blame, for which files, and what would save the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from typing import Any

from minidock.core.base_image import BaseImage
from minidock.core.entries import Entry
from minidock.core.units import human_size
from minidock.core.waste import Blame, Cause, Part, Waste, WastedFile
from minidock.render import bars, cells
from minidock.render.console import Console
from minidock.render.formats import Format, json_text

VERSION = 1
_INSTRUCTION_CELLS = 60
_SHOWN_FILES = 10
_SIZE_CELLS = 9
_BAR_CELLS = 16
_INDENT = " " * _SIZE_CELLS
_VERBS = {Cause.DELETED: "deletes", Cause.OVERWRITTEN: "overwrites"}


def print_waste(console: Console, name: str, waste: Waste, base: BaseImage | None, *, shape: Format) -> None:
    """Print the waste of the image called ``name``."""
    if shape is Format.JSON:
        console.out.write(f"{json_text(members(name, waste, base))}\n")
    elif shape.template:
        console.out.write(shape.document(members(name, waste, base)))
    else:
        has_bars = bars.are_shown(console)
        console.out.writelines(f"{line}\n" for line in _lines(name, waste, base, has_bars=has_bars))


def excess_text(name: str, waste: Waste, limit: str) -> str:
    """Return the line about an image that wastes more than it may."""
    share = percent(waste.own_wasted, waste.size)
    return f"{name} wastes {human_size(waste.own_wasted)} ({share}) in its own layers, more than {limit}"


def percent(part: int, whole: int) -> str:
    """Return ``part`` of ``whole`` in percent with one decimal; only nothing is 0 and only all is 100."""
    if not whole:
        return "0%"
    tenths = part * 1000 // whole
    return "less than 0.1%" if part and not tenths else f"{tenths // 10}.{tenths % 10}%"


# --- text


def _lines(name: str, waste: Waste, base: BaseImage | None, *, has_bars: bool) -> Iterator[str]:
    visible = waste.size - waste.wasted
    yield f"{name}: {human_size(waste.size, 4)} stored, {human_size(visible, 4)} of it visible"
    yield f"Wasted: {human_size(waste.wasted, 4)} ({percent(waste.wasted, waste.size)}){_shares(waste, base)}"
    for blame in waste.blames:
        yield ""
        yield from _of_blame(blame, waste, base, _bar(blame, waste) if has_bars else "")
    if waste.blames:
        if has_bars:
            yield ""
            yield f"{bars.DARK} stored again  {bars.LIGHT} hidden"
        yield ""
        yield from _largest(waste)


def _shares(waste: Waste, base: BaseImage | None) -> str:
    if base is None or not base.layers or not waste.wasted:
        return ""
    own, of_base = human_size(waste.own_wasted, 4), human_size(waste.base_wasted, 4)
    return f": {own} in its own layers, {of_base} in those of its base image {base.name}"


def _bar(blame: Blame, waste: Waste) -> str:
    again = sum(part.size for part in blame.parts if part.cause.is_copy)
    parts = ((again, bars.DARK), (blame.size - again, bars.LIGHT))
    return f"{bars.bar(parts, waste.blames[0].size, _BAR_CELLS):<{_BAR_CELLS}}  "


def _of_blame(blame: Blame, waste: Waste, base: BaseImage | None, bar: str) -> Iterator[str]:
    instruction = cells.cut(cells.one_line(blame.step.instruction), _INSTRUCTION_CELLS)
    where = f"{blame.place} (base image)" if blame.layer < waste.base_layers else blame.place
    yield f"{human_size(blame.size):<{_SIZE_CELLS}}{bar}{where}  {instruction}".rstrip()
    for part in blame.parts:
        size = f"{human_size(part.size)}: " if len(blame.parts) > 1 else ""
        yield f"{_INDENT}{size}{cells.one_line(_deed(part, waste))}"
        if part.advice:
            yield f"{_INDENT}-> {cells.one_line(part.advice)}"
        elif part.is_base and part.blamed >= waste.base_layers and base is not None:
            yield f"{_INDENT}-> the bytes stay in {base.name}: only another base image saves them"


def _deed(part: Part, waste: Waste) -> str:
    """Return what a step did, in words."""
    victim = f"of {waste.places[part.victim]}"
    if part.victim < waste.base_layers:
        victim = "of the base image"
    files = _files(part)
    if part.cause in _VERBS:
        return f"{_VERBS[part.cause]} {files} {victim}"
    changes = sorted({_change(part.cause, *between) for between in _differing(part)})
    several = "from other paths" if part.cause is Cause.MOVED else f"{len(changes):,} different changes"
    change = changes[0] if len(changes) == 1 else several
    return f"stores {files} {victim} again ({change})"


def _files(part: Part) -> str:
    first = f"/{part.files[0].entry.path}"
    if len(part.files) == 1:
        return first
    folders = {file.hidden_by for file in part.files}
    if part.cause is Cause.DELETED and len(folders) == 1:
        return f"{len(part.files):,} files below /{folders.pop()}"
    return f"{first} and {len(part.files) - 1:,} more file{'s' if len(part.files) > 2 else ''}"


def _differing(part: Part) -> Iterator[tuple[Entry, Entry]]:
    """Yield (before, after) of files, one for each way in which the two differ."""
    known = set()
    for file in part.files:
        before, after = file.original, file.entry
        assert before is not None
        way: tuple[object, ...] = (before.path,)
        if part.cause is not Cause.MOVED:
            way = (before.mode, after.mode, before.uid, after.uid, before.gid, after.gid, before.xattrs, after.xattrs)
        if way not in known:
            known.add(way)
            yield before, after


def _change(cause: Cause, before: Entry, after: Entry) -> str:
    if cause is Cause.MOVED:
        return f"from /{before.path}"
    texts = []
    if before.mode != after.mode:
        texts.append(f"mode {before.mode:o}→{after.mode:o}")
    if _owner(before) != _owner(after):
        texts.append(f"owner {_owner(before)}→{_owner(after)}")
    if before.xattrs != after.xattrs:
        texts.append("extended attributes")
    return ", ".join(texts) or "the same content"


def _owner(entry: Entry) -> str:
    return f"{entry.uid}:{entry.gid}"


def _largest(waste: Waste) -> Iterator[str]:
    found = _all_files(waste)
    shown = nsmallest(_SHOWN_FILES, found, key=_largest_first)
    rows = [
        (human_size(file.size), cells.one_line(f"/{file.entry.path}"), waste.places[stored], waste.places[blamed])
        for file, stored, blamed in shown
    ]
    yield from cells.table(("SIZE", "LARGEST FILES", "STORED BY", "WASTED BY"), rows).splitlines()
    if len(found) > _SHOWN_FILES:
        rest = waste.wasted - sum(file.size for file, _, _ in shown)
        yield f"and {len(found) - len(shown):,} more of {human_size(rest)} together"


def _all_files(waste: Waste) -> list[tuple[WastedFile, int, int]]:
    """Return every wasted file with the layer that stores it and the one to blame."""
    return [
        (file, part.blamed if part.cause.is_copy else part.victim, part.blamed)
        for part in waste.parts
        for file in part.files
    ]


def _largest_first(item: tuple[WastedFile, int, int]) -> tuple[int, str, int]:
    file, stored, _ = item
    return (-file.entry.size, file.entry.path, stored)


# --- JSON


def members(name: str, waste: Waste, base: BaseImage | None) -> dict[str, Any]:
    """Return the document that `--format json` prints; sizes are in bytes, layers are counted from 0, base first."""
    return {
        "version": VERSION,
        "image": name,
        "size": waste.size,
        "visible": waste.size - waste.wasted,
        "wasted": waste.wasted,
        "own_wasted": waste.own_wasted,
        "base_wasted": waste.base_wasted,
        "advised": waste.advised,
        "efficiency": round(waste.efficiency, 4),
        "base": None if base is None else {"name": base.name, "layers": base.layers, "size": waste.base_size},
        "steps": [_blame_members(blame, waste) for blame in waste.blames],
    }


def _blame_members(blame: Blame, waste: Waste) -> dict[str, Any]:
    parts = [_part_members(part, waste) for part in blame.parts]
    return {**_step_members(blame.layer, waste), "size": blame.size, "parts": parts}


def _step_members(layer: int, waste: Waste) -> dict[str, Any]:
    return {
        "layer": layer,
        "place": waste.places[layer],
        "instruction": waste.steps[layer].instruction,
        "diff_id": str(waste.steps[layer].diff_id),
        "is_base": layer < waste.base_layers,
    }


def _part_members(part: Part, waste: Waste) -> dict[str, Any]:
    return {
        "cause": part.cause.value,
        "of": _step_members(part.victim, waste),
        "size": part.size,
        "is_base": part.is_base,
        "advice": part.advice,
        "files": [{"path": f"/{file.entry.path}", "size": file.size} for file in part.files],
    }
