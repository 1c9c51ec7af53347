"""Values of options as Go reads them."""

from __future__ import annotations

import pytest

from minidock.cli import values
from minidock.errors import FlagError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("1", "t", "T", "TRUE", "true", "True")),
        *((text, False) for text in ("0", "f", "F", "FALSE", "false", "False")),
    ],
)
def test_switches_take_dockers_spellings(text: str, expected: bool) -> None:
    assert values.parse_bool(text) is expected


@pytest.mark.parametrize("text", ["maybe", "yes", "", "tRUE"])
def test_other_spellings_of_truth_are_refused(text: str) -> None:
    with pytest.raises(FlagError, match=f'^strconv.ParseBool: parsing "{text}": invalid syntax$'):
        values.parse_bool(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("10", 10), ("-1", -1), ("+7", 7), ("0x1F", 31), ("010", 8), ("0o10", 8), ("0b11", 3)],
)
def test_whole_numbers_may_have_any_base(text: str, expected: int) -> None:
    assert values.parse_int(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [("x", "invalid syntax"), ("1.5", "invalid syntax"), ("1_000", "invalid syntax"), ("09", "invalid syntax"),
     ("", "invalid syntax"), ("9223372036854775808", "value out of range")],
)  # fmt: skip
def test_what_is_not_a_whole_number_is_refused(text: str, reason: str) -> None:
    with pytest.raises(FlagError, match=f'^strconv.ParseInt: parsing "{text}": {reason}$'):
        values.parse_int(text)


def test_numbers_may_have_a_fraction_but_no_words() -> None:
    assert [values.parse_float(text) for text in ("1", "0.5", ".5", "1e3")] == [1.0, 0.5, 0.5, 1000.0]
    with pytest.raises(FlagError, match=r'^strconv.ParseFloat: parsing "nan": invalid syntax$'):
        values.parse_float("nan")


def test_a_choice_names_what_it_could_be() -> None:
    assert values.parse_choice("never", ("always", "never")) == "never"
    with pytest.raises(FlagError, match=r'^must be one of "always", "never"$'):
        values.parse_choice("often", ("always", "never"))


def test_numbers_below_the_least_are_refused() -> None:
    parse = values.at_least(1)
    assert parse("1") == 1
    with pytest.raises(FlagError, match="must be at least 1"):
        parse("0")
