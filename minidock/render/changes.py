"""What a container changed: docker's list, with sizes, or as a patch."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core import units
from minidock.core.container_changes import Change, ContainerSizes
from minidock.core.file_patch import FilePatch
from minidock.render import cells
from minidock.render.console import Console
from minidock.render.formats import Format, json_object
from minidock.render.patch import patch_lines

_HEADERS = {"Kind": "CHANGE", "Size": "SIZE", "ImageSize": "IN IMAGE", "CopiedUp": "COPIED UP", "Path": "PATH"}
# A terminal would obey what a file of the container says to it; tabs and newlines do no harm.
_CONTROLS = {code: f"^{chr(code ^ 0x40)}" for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n"}
_CONTROLS |= {code: f"M-^{chr(code - 0x40)}" for code in range(0x80, 0xA0)}


def print_changes(console: Console, changes: Sequence[Change]) -> None:
    """Print docker's list: a letter and a path."""
    console.out.writelines(f"{change.kind} {change.path}\n" for change in changes)


def print_sizes(console: Console, found: ContainerSizes, *, shape: Format = Format.TABLE) -> None:
    """Print changes with sizes; as a table with the sums below it."""
    if shape is Format.JSON:
        console.out.writelines(f"{json_object(_members(change))}\n" for change in found.changes)
    elif shape.template:
        console.out.write(shape.rows([_members(change) for change in found.changes], _HEADERS))
    else:
        console.out.write(cells.table(tuple(_HEADERS.values()), [_row(change) for change in found.changes]))
        console.out.writelines(f"{line}\n" for line in ("", *_sums(found)))


def _members(change: Change) -> dict[str, str | int]:
    return {
        "CopiedUp": change.copied_size,
        "ImageSize": change.image_size,
        "Kind": change.kind,
        "Path": change.path,
        "Size": change.size,
        "Type": change.type,
    }


def _row(change: Change) -> tuple[str, ...]:
    sizes = (change.size, change.image_size, change.copied_size)
    return (change.kind, *(units.human_size(size) if size else "" for size in sizes), cells.one_line(change.path))


def _sums(found: ContainerSizes) -> list[str]:
    lines = [f"The container holds {_exact(found.size)} of content."]
    if found.copied_size:
        count = len(found.copied)
        files = "1 file" if count == 1 else f"{count:,} files"
        lines.append(f"Copied up from the image and still as there: {_exact(found.copied_size)} in {files}.")
    if found.hidden_size:
        lines.append(f"Of the image it hides {_exact(found.hidden_size)}.")
    if found.whole_copy_size:
        lines.append(f"There is no overlay here: all {_exact(found.whole_copy_size)} of the image were copied first.")
    return lines


def _exact(size: int) -> str:
    return units.human_size(size) if size < 1000 else f"{units.human_size(size)} ({size:,} bytes)"


def print_patch(console: Console, patch: FilePatch) -> None:
    """Print what became of one file; on a terminal without characters that would steer it."""
    is_terminal = console.out.isatty()
    for line in patch_lines(patch):
        console.out.write(f"{line.translate(_CONTROLS) if is_terminal else line}\n")
