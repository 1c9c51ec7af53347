"""`history --lines` and `--graph`: docker's list, with where a step stands and what became of its bytes."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core import units
from minidock.core.summary import HistoryRow
from minidock.render import bars, fields
from minidock.render.console import Console
from minidock.render.formats import Format
from minidock.render.lists import Columns, print_list
from minidock.render.tables import HISTORY

LINES: Columns = (
    ("LINE", "Line"),
    ("INSTRUCTION", "Instruction"),
    ("LAYER", "Layer"),
    ("SIZE", "Size"),
    ("HIDDEN", "Hidden"),
    ("DUPLICATED", "Duplicated"),
    ("LAST BUILD", "LastBuild"),
)


def print_steps(
    console: Console,
    rows: Sequence[HistoryRow],
    *,
    shape: Format = Format.TABLE,
    is_cut: bool = True,
    is_human: bool = True,
    has_lines: bool = True,
    has_graph: bool = False,
) -> None:
    """Print steps that have details, newest first as given; bars only on a terminal."""
    shown = [fields.history_fields(row, console, is_cut=is_cut, is_human=is_human) for row in rows]
    columns = LINES if has_lines else HISTORY[:-1]
    if shape is not Format.TABLE:
        print_list(console, (*HISTORY, *LINES), shown, shape)
        return
    graphs = _bars(rows) if has_graph and bars.are_shown(console) else None
    if graphs is not None:
        columns = (*columns, ("GRAPH", "Graph"))
        shown = [{**row, "Graph": graph} for row, graph in zip(shown, graphs, strict=True)]
    print_list(console, columns, shown, shape)
    console.out.write(f"\n{_sums(rows, is_human=is_human)}\n")
    if graphs is not None:
        console.out.write(f"{bars.SOLID} visible  {bars.DARK} duplicated  {bars.LIGHT} hidden\n")


def _bars(rows: Sequence[HistoryRow]) -> list[str]:
    most = max((row.size for row in rows), default=0)
    found = []
    for row in rows:
        hidden, duplicated = (row.details.hidden, row.details.duplicated) if row.details else (0, 0)
        parts = (
            (row.size - hidden - duplicated, bars.SOLID),
            (duplicated, bars.DARK),
            (hidden, bars.LIGHT),
        )
        found.append(bars.bar(parts, most))
    return found


def _sums(rows: Sequence[HistoryRow], *, is_human: bool) -> str:
    details = [row.details for row in rows if row.details is not None]
    size = sum(row.size for row in rows)
    hidden, duplicated = sum(item.hidden for item in details), sum(item.duplicated for item in details)
    count = sum(item.diff_id is not None for item in details)
    sizes = (size, size - hidden - duplicated, hidden, duplicated)
    shown = [units.human_size(item, 4) if is_human else f"{item} bytes" for item in sizes]
    layers = "1 layer" if count == 1 else f"{count} layers"
    return f"{shown[0]} in {layers}: {shown[1]} visible, {shown[2]} hidden, {shown[3]} duplicated"
