"""The files of an image, what differs between two, and who put a path there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minidock.core import units
from minidock.core.entries import FILE, HARDLINK, SYMLINK, Entry
from minidock.core.tree_changes import ADDED, CHANGED, REMOVED, TreeChange, TreeDiff
from minidock.render import cells
from minidock.render.console import Console
from minidock.render.fields import Fields
from minidock.render.formats import Format, json_text
from minidock.render.lists import Columns, print_list

FILES: Columns = (("TYPE", "Type"), ("MODE", "Mode"), ("OWNER", "Owner"), ("SIZE", "Size"), ("PATH", "Name"))
CHANGES = ("CHANGE", "SIZE", "PATH", "WHAT")


def shown_path(path: str) -> str:
    """Return a path as users write it, on one line."""
    return f"/{path}" if path.isprintable() else cells.one_line(f"/{path}")


def file_fields(entry: Entry) -> Fields:
    """Return the fields of one entry; `Name` is the path with what a link leads to, `Bytes` the size as a number."""
    kind, mode, owner, size, name = _file_cells(entry)
    return {
        "Bytes": str(entry.size if kind == FILE else 0),
        "Digest": f"sha256:{entry.sha256}" if entry.sha256 else "",
        "Mode": mode,
        "Name": name,
        "Owner": owner,
        "Path": shown_path(entry.path),
        "Size": size,
        "Target": _target(entry),
        "Type": kind,
    }


def _file_cells(entry: Entry) -> tuple[str, str, str, str, str]:
    """Return the cells of `FILES`: there may be 100,000 lines, and their other fields would take as long again."""
    kind, name = entry.kind, shown_path(entry.path)
    if kind == SYMLINK or entry.linkname:
        name += f" {'->' if kind == SYMLINK else 'link to'} {_target(entry)}"
    size = units.human_size(entry.size) if kind == FILE else ""
    if kind == HARDLINK or entry.is_deletion:
        return kind, "", "", size, name
    return kind, f"{entry.mode:04o}", f"{entry.uid}:{entry.gid}", size, name


def _target(entry: Entry) -> str:
    """Return what a link leads to, empty for what is none."""
    if entry.kind == SYMLINK:
        return cells.one_line(entry.linkname)
    return shown_path(entry.linkname) if entry.linkname else ""


def print_files(
    console: Console, entries: Sequence[Entry], total: int, *, shape: Format = Format.TABLE, by_size: bool = False
) -> None:
    """Print entries in their order, or the largest first; ``total`` are their bytes, each file once."""
    if by_size:
        entries = sorted(entries, key=lambda entry: (-entry.size, entry.path))
    if shape is Format.TABLE:
        headers = [header for header, _ in FILES]
        console.out.write(cells.table(headers, list(map(_file_cells, entries))))
        console.out.write(f"\n{_count(len(entries), 'entry', 'entries')}, {units.human_size(total, 4)}\n")
        return
    print_list(console, FILES, list(map(file_fields, entries)), shape)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def print_diff(console: Console, diff: TreeDiff, *, shape: Format = Format.TABLE) -> None:
    """Print what changed between two images, by path, and the sums."""
    if shape is Format.JSON:
        console.out.write(f"{json_text(_diff_members(diff))}\n")
    elif shape.template:
        console.out.write(shape.document(_diff_members(diff)))
    else:
        if diff.changes:
            console.out.write(cells.table(CHANGES, list(map(_diff_cells, diff.changes))) + "\n")
        console.out.write(f"{_diff_sums(diff)}\n")


def _diff_cells(change: TreeChange) -> tuple[str, str, str, str]:
    entry = change.after or change.before
    assert entry is not None
    what = ", ".join(difference.text for difference in change.differences)
    if change.kind != CHANGED and entry.kind != FILE:
        what = f"{entry.kind} -> {entry.linkname}" if entry.kind == SYMLINK else entry.kind
    has_size = entry.kind == FILE or change.growth
    return change.kind, _signed(change.growth) if has_size else "", shown_path(change.path), cells.one_line(what)


def _signed(size: int) -> str:
    return f"{'-' if size < 0 else '+'}{units.human_size(abs(size))}"


def _growth(changes: Iterable[TreeChange]) -> int:
    return sum(change.growth for change in changes)


def _diff_sums(diff: TreeDiff) -> str:
    if not diff.changes:
        return f"no differences: {units.human_size(diff.after_size, 4)} in both"
    texts = [
        f"{len(changes):,} {kind} ({_signed(_growth(changes))})"
        for kind in (ADDED, CHANGED, REMOVED)
        if (changes := diff.of_kind(kind))
    ]
    sizes = f"{units.human_size(diff.before_size, 4)} before, {units.human_size(diff.after_size, 4)} after"
    return f"{', '.join(texts)}; {sizes}"


def _diff_members(diff: TreeDiff) -> dict[str, Any]:
    return {
        "Changes": [
            {
                "Change": change.kind,
                "Path": shown_path(change.path),
                "TypeBefore": change.before.kind if change.before else "",
                "TypeAfter": change.after.kind if change.after else "",
                "SizeBefore": change.before.size if change.before else 0,
                "SizeAfter": change.after.size if change.after else 0,
                "Differences": {difference.name: difference.text for difference in change.differences},
            }
            for change in diff.changes
        ],
        **{
            kind.capitalize(): {"Count": len(changes), "Growth": _growth(changes)}
            for kind in (ADDED, CHANGED, REMOVED)
            for changes in [diff.of_kind(kind)]
        },
        "SizeBefore": diff.before_size,
        "SizeAfter": diff.after_size,
    }
