"""What `stats` and `top` show."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core import units
from minidock.core.stats import StatsRow
from minidock.render import cells
from minidock.render.console import Console
from minidock.render.fields import ID_DIGITS
from minidock.render.formats import Format, json_object
from minidock.render.lists import Columns, table_of

COLUMNS: Columns = (
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
)
_TOP_CELLS, _TOP_GAP = 20, 3
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\033[H", "\033[K", "\033[J"


def stats_fields(row: StatsRow, *, is_cut: bool) -> dict[str, str | None]:
    """Return the fields of one container, all zero if it does not run, as docker has them."""
    sample = row.sample
    used, most = (sample.memory, sample.memory_limit) if sample else (0, 0)
    return {
        "BlockIO": _both(sample.read, sample.written) if sample else "0B / 0B",
        "CPUPerc": f"{row.cpu_percent:.2f}%",
        "Container": row.asked if row.asked != row.id or not is_cut else row.id[:ID_DIGITS],
        "ID": row.id[:ID_DIGITS] if is_cut else row.id,
        "MemPerc": f"{row.memory_percent:.2f}%",
        "MemUsage": f"{units.binary_size(used)} / {units.binary_size(most)}",
        "Name": row.name,
        "NetIO": _both(sample.received, sample.sent) if sample else "0B / 0B",
        "PIDs": str(sample.pids if sample else 0),
    }


def _both(one: int, other: int) -> str:
    return f"{units.human_size(one)} / {units.human_size(other)}"


def print_stats(console: Console, rows: Sequence[StatsRow], *, shape: Format, is_cut: bool, is_live: bool) -> None:
    """Print the figures; over the earlier ones, in place, if ``is_live`` and on a terminal."""
    shown = [stats_fields(row, is_cut=is_cut) for row in rows]
    if shape is Format.JSON:
        text = "".join(f"{json_object(row)}\n" for row in shown)
    elif shape.template:
        text = shape.rows(shown, {field: header for header, field in COLUMNS})
    else:
        text = table_of(COLUMNS, shown)
    if is_live and console.out.isatty():
        text = _HOME + text.replace("\n", f"{_CLEAR_LINE}\n") + _CLEAR_BELOW
    console.out.write(text)
    console.out.flush()


def print_processes(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print `top`: columns at least twenty wide, three apart."""
    lines = [titles, *rows]
    widths = [
        max(_TOP_CELLS, *(cells.width(line[column]) + _TOP_GAP for line in lines)) for column in range(len(titles) - 1)
    ]
    for line in lines:
        padded = (cell + " " * (width - cells.width(cell)) for cell, width in zip(line[:-1], widths, strict=True))
        console.out.write("".join(padded) + line[-1] + "\n")
