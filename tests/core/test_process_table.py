"""What `top` shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from minidock.core.process_table import ProcessRow, full_listing, selected, start_text, time_text
from minidock.core.stats import Sample, StatsRow, cpu_percent
from minidock.errors import MinidockError

NOW = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)


def test_a_full_listing_is_that_of_ps() -> None:
    rows = [
        ProcessRow("root", 26663, 26641, 0, NOW - timedelta(minutes=43), "", "sleep 1000"),
        ProcessRow("someonelong", 7, 1, 3600, NOW - timedelta(hours=2), "pts/3", "sh -c true"),
        ProcessRow("5", 8, 1, 100, NOW, "", "busy"),
    ]
    assert full_listing(rows, NOW) == [
        ["root", "26663", "26641", "0", "14:47", "?", "00:00:00", "sleep 1000"],
        ["someone+", "7", "1", "50", "13:30", "pts/3", "01:00:00", "sh -c true"],
        ["5", "8", "1", "99", "15:30", "?", "00:01:40", "busy"],
    ]


def test_times() -> None:
    assert [start_text(NOW - timedelta(days=days), NOW) for days in (0, 1, 400)] == ["15:30", "Nov23", "2025"]
    assert [time_text(seconds) for seconds in (0, 61, 90061)] == ["00:00:00", "00:01:01", "1-01:01:01"]


PS = """\
  PID COMMAND         CMD
   12 sleep           sleep  1000
    - -               thread of it
   13 other           other
    - -               thread of another
   14 odd
"""


def test_lines_of_other_processes_are_left_out() -> None:
    assert selected(PS, {12, 14}) == (
        ["PID", "COMMAND", "CMD"],
        [["12", "sleep", "sleep 1000"], ["-", "-", "thread of it"], ["14", "odd", ""]],
    )


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "Couldn't find PID field in ps output"),
        ("COMMAND\nsleep\n", "Couldn't find PID field in ps output"),
        ("PID\nx\n", "Unexpected pid 'x'"),
    ],
)
def test_listings_without_a_pid_are_refused(output: str, message: str) -> None:
    with pytest.raises(MinidockError) as caught:
        selected(output, {1})
    assert str(caught.value) == message


def test_processor_use_is_that_between_two_samples() -> None:
    before, after = Sample(cpu_time=1.0, machine_time=100.0), Sample(cpu_time=2.0, machine_time=104.0, processors=4)
    assert cpu_percent(before, after) == 100.0
    assert cpu_percent(after, before) == 0.0
    assert cpu_percent(before, before) == 0.0


def test_the_part_of_memory_that_is_used() -> None:
    assert StatsRow("id", "name", "id", sample=Sample(memory=1, memory_limit=8)).memory_percent == 12.5
    assert StatsRow("id", "name", "id").memory_percent == 0.0
