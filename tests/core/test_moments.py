from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from minidock.core.moments import moment_text, parse_moment
from minidock.errors import InvalidRequest

NOW = 1_700_000_000_500_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1136073600", 1_136_073_600_000_000_000),
        ("1136073600.000000001", 1_136_073_600_000_000_001),
        ("0s", NOW),
        ("1m30s", NOW - 90_000_000_000),
        ("2006-01-02T15:04:05Z", 1_136_214_245_000_000_000),
        ("2006-01-02T15:04:05.123456789Z", 1_136_214_245_123_456_789),
        ("2006-01-02T15:04:05+01:00", 1_136_210_645_000_000_000),
        ("2006-01-02T15:04", 1_136_214_240_000_000_000),
        ("2006-01-02", 1_136_160_000_000_000_000),
    ],
)
def test_moments_as_docker_reads_them(text: str, moment: int) -> None:
    assert parse_moment(text, now=NOW, zone=UTC) == moment


@pytest.mark.parametrize("text", ["yesterday", "2006-13-02", "5x"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_moment(text, now=NOW, zone=UTC)


def test_moments_are_shown_with_nine_digits() -> None:
    assert moment_text(NOW + 7, UTC) == "2023-11-14T22:13:20.500000007Z"
    assert moment_text(NOW, timezone(timedelta(hours=2))) == "2023-11-15T00:13:20.500000000+02:00"
