"""The processes of a container as `top` shows them: what `ps -ef` prints, and which of its lines are wanted.

Source: procps, ps(1), "STANDARD FORMAT SPECIFIERS"; moby, daemon/top_unix.go, as seen from outside.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from minidock.errors import MinidockError

FULL = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
_USER_CELLS = 8
_MOST_PERCENT = 99
_DAY = 86400


class ProcessRow(NamedTuple):
    """One process: ``user`` by name or number, ``terminal`` empty if it has none, ``cpu_time`` in whole seconds."""

    user: str
    pid: int
    parent: int
    cpu_time: int
    started: datetime
    terminal: str
    command: str


def full_listing(rows: Sequence[ProcessRow], now: datetime) -> list[list[str]]:
    """Return the cells of `FULL` for every process."""
    return [_cells(row, now) for row in rows]


def _cells(row: ProcessRow, now: datetime) -> list[str]:
    age = max((now - row.started).total_seconds(), 1)
    return [
        row.user if len(row.user) <= _USER_CELLS else f"{row.user[: _USER_CELLS - 1]}+",
        str(row.pid),
        str(row.parent),
        str(min(int(row.cpu_time * 100 / age), _MOST_PERCENT)),
        start_text(row.started, now),
        row.terminal or "?",
        time_text(row.cpu_time),
        row.command,
    ]


def start_text(started: datetime, now: datetime) -> str:
    """Return when a process started: the time of day, the day, or the year, whichever tells enough."""
    if started.date() == now.date():
        return f"{started:%H:%M}"
    return f"{started:%b%d}" if started.year == now.year else f"{started:%Y}"


def time_text(seconds: int) -> str:
    """Return processor time as ``[DAYS-]HH:MM:SS``."""
    days, rest = divmod(seconds, _DAY)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text


def selected(output: str, pids: Collection[int]) -> tuple[list[str], list[list[str]]]:
    """Return the titles of what `ps` printed, and the cells of the lines that are about ``pids``.

    The last cell takes all that is left of a line. Raises: MinidockError in docker's words.
    """
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise MinidockError("Couldn't find PID field in ps output")
    index = titles.index("PID")
    rows = []
    is_wanted = False
    for line in lines[1:]:
        fields = line.split()
        if not fields:
            continue
        if len(fields) <= index:
            raise MinidockError(f"Unexpected pid '{line}'")
        if fields[index] == "-":  # a thread (ps -m) of the process above
            if is_wanted:
                rows.append(_joined(fields, len(titles)))
            continue
        if not fields[index].isdecimal():
            raise MinidockError(f"Unexpected pid '{fields[index]}'")
        is_wanted = int(fields[index]) in pids
        if is_wanted:
            rows.append(_joined(fields, len(titles)))
    return titles, rows


def _joined(fields: list[str], count: int) -> list[str]:
    return [*fields[: count - 1], " ".join(fields[count - 1 :])]
