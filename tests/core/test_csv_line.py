"""One line of comma-separated values."""

from __future__ import annotations

import pytest

from minidock.core.csv_line import fields_of
from minidock.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1,b", ["a=1", "b"]),
        ('type=x,"dest=a,b"', ["type=x", "dest=a,b"]),
        ('"say ""hi"""', ['say "hi"']),
        ("a,,", ["a", "", ""]),
    ],
)
def test_fields_are_separated_by_commas_outside_of_quotes(text: str, expected: list[str]) -> None:
    assert list(fields_of(text)) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "EOF"),
        ('"a', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
        ('"a"b', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
        ('a"b', 'parse error on line 1, column 2: bare " in non-quoted-field'),
    ],
)
def test_what_is_not_one_line_of_fields_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fields_of(text)
    assert str(caught.value) == problem
