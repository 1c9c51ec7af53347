"""`stats` and `top` against what docker printed, to the blank."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from minidock.core.stats import Sample, StatsRow
from minidock.render.console import Console
from minidock.render.formats import Format
from minidock.render.stats import print_processes, print_stats

NOW = datetime(2026, 11, 23, 15, 45, 55, tzinfo=UTC)
SAMPLE = Sample(memory=655_360, memory_limit=25_275_820_318, received=946, pids=1)
ROWS = (
    StatsRow("c62a9c22c169" + "0" * 52, "ported", "ported", 0.0, SAMPLE._replace(memory=811_008, received=726)),
    StatsRow("338bbf4533cf" + "0" * 52, "web1", "web1", 12.345, SAMPLE),
    StatsRow("bd1a5239d0a4" + "0" * 52, "web2", "bd1a5239d0a4" + "0" * 52),
)


class Screen(io.StringIO):
    """Output that is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO, *, shape: Format = Format.TABLE, is_live: bool = False) -> str:
    print_stats(Console(out, io.StringIO(), NOW, UTC), ROWS, shape=shape, is_cut=True, is_live=is_live)
    return out.getvalue()


def test_stats_read_as_in_docker() -> None:
    assert shown(io.StringIO()) == (
        "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O     BLOCK I/O   PIDS\n"
        "c62a9c22c169   ported    0.00%     792KiB / 23.54GiB   0.00%     726B / 0B   0B / 0B     1\n"
        "338bbf4533cf   web1      12.35%    640KiB / 23.54GiB   0.00%     946B / 0B   0B / 0B     1\n"
        "bd1a5239d0a4   web2      0.00%     0B / 0B             0.00%     0B / 0B     0B / 0B     0\n"
    ).replace("12.35%", f"{12.345:.2f}%".ljust(6))


def test_stats_as_json_have_dockers_members() -> None:
    assert shown(io.StringIO(), shape=Format.JSON).splitlines()[1] == (
        '{"BlockIO":"0B / 0B","CPUPerc":"12.35%","Container":"web1","ID":"338bbf4533cf","MemPerc":"0.00%",'
        '"MemUsage":"640KiB / 23.54GiB","Name":"web1","NetIO":"946B / 0B","PIDs":"1"}'
    ).replace("12.35", f"{12.345:.2f}")


def test_a_live_table_is_drawn_over_the_last_one() -> None:
    text = shown(Screen(), is_live=True)
    assert text.startswith("\033[HCONTAINER ID")
    assert text.endswith("0\033[K\n\033[J")
    assert text.count("\033[K\n") == 4
    assert "\033" not in shown(Screen(), is_live=False)
    assert "\033" not in shown(io.StringIO(), is_live=True)


def test_top_reads_as_in_docker() -> None:
    out = io.StringIO()
    titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    row = ["root", "26663", "26641", "0", "15:47", "?", "00:00:00", "sleep 1000"]
    print_processes(Console(out, io.StringIO(), NOW, UTC), titles, [row])
    assert out.getvalue() == (
        "UID                 PID                 PPID                C                   "
        "STIME               TTY                 TIME                CMD\n"
        "root                26663               26641               0                   "
        "15:47               ?                   00:00:00            sleep 1000\n"
    )


def test_wide_cells_of_top_keep_their_distance() -> None:
    out = io.StringIO()
    print_processes(Console(out, io.StringIO(), NOW, UTC), ["PID", "COMMAND"], [["1" * 19, "sleep"]])
    assert out.getvalue() == f"PID{' ' * 19}COMMAND\n{'1' * 19}   sleep\n"
