"""One CSV record."""

from __future__ import annotations

import pytest

from minidock.core.csv_record import fields
from minidock.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a=1,b", ["a=1", "b"]),
        ('type=x,"dest=a,b"', ["type=x", "dest=a,b"]),
        ('"say ""hi"""', ['say "hi"']),
        ("a,,", ["a", "", ""]),
    ],
)
def test_fields_are_separated_by_commas_outside_of_quotes(text: str, expected: list[str]) -> None:
    assert fields(text) == expected


@pytest.mark.parametrize("text", ['"a', '"a"b', "a\nb"])
def test_what_is_not_one_record_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        fields(text)
