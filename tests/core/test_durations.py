from __future__ import annotations

import pytest

from minidock.core.durations import BadDuration, parse_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("1ns", 1), ("1.5s", 1_500_000_000), ("1h2m3s", 3_723_000_000_000), ("-2ms", -2_000_000), (".5us", 500)],
)
def test_a_duration_is_numbers_with_units(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadDuration) as caught:
        parse_duration(text)
    assert str(caught.value) == message
