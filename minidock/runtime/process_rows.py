"""What /proc tells of a process, for `top`."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from datetime import UTC, datetime

from minidock.core.process_table import ProcessRow
from minidock.runtime.monitor import stat_fields

_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _TERMINAL, _UTIME, _STIME, _START = 1, 4, 11, 12, 19  # of `stat_fields`
_PTS_MAJORS = range(136, 144)
_CHARACTER_MAJOR = 4
_FIRST_SERIAL = 64


def process_rows(pids: Sequence[int]) -> list[ProcessRow]:
    """Return a row for every process, but for those that have ended meanwhile."""
    boot = _boot_time()
    rows = []
    for pid in pids:
        try:
            rows.append(_row(pid, boot))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return rows


def _row(pid: int, boot: float) -> ProcessRow:
    fields = stat_fields(pid)
    return ProcessRow(
        user=_user(os.stat(f"/proc/{pid}").st_uid),
        pid=pid,
        parent=int(fields[_PARENT]),
        cpu_time=(int(fields[_UTIME]) + int(fields[_STIME])) // _TICKS,
        started=datetime.fromtimestamp(boot + int(fields[_START]) / _TICKS, UTC),
        terminal=_terminal(int(fields[_TERMINAL])),
        command=_command(pid),
    )


def _boot_time() -> float:
    with open("/proc/stat", encoding="ascii") as file:
        return next((float(line.split()[1]) for line in file if line.startswith("btime ")), 0.0)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _terminal(device: int) -> str:
    """Return the name of a terminal below /dev; empty if there is none."""
    if not device:
        return ""
    major, minor = os.major(device), os.minor(device)
    if major in _PTS_MAJORS:
        return f"pts/{(major - _PTS_MAJORS.start) * 256 + minor}"
    if major == _CHARACTER_MAJOR:
        return f"tty{minor}" if minor < _FIRST_SERIAL else f"ttyS{minor - _FIRST_SERIAL}"
    return f"{major},{minor}"


def _command(pid: int) -> str:
    """Return the command line in one line, or the name in brackets of a process that has none (any more)."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().rstrip(b"\0").split(b"\0")
    text = b" ".join(words).decode("utf-8", "replace")
    if text:
        return "".join(character if character.isprintable() else "?" for character in text)
    with open(f"/proc/{pid}/stat", "rb") as file:
        line = file.read().decode("utf-8", "replace")
    name = line[line.index("(") + 1 : line.rindex(")")]
    state = line[line.rindex(")") + 2]
    return f"[{name}] <defunct>" if state == "Z" else f"[{name}]"
