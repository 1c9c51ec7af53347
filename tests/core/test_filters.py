"""Labels, truth and age in filters."""

from __future__ import annotations

import pytest

from minidock.core.filters import PruneFilter, has_label, truth
from minidock.errors import InvalidRequest

LABELS = {"a": "1", "empty": ""}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("a", True), ("a=1", True), ("a=2", False), ("a=", False), ("empty=", True), ("empty", True), ("b", False)],
)
def test_a_label_is_there_with_the_value_that_is_asked_for(wanted: str, expected: bool) -> None:
    assert has_label(LABELS, wanted) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("true", True), ("0", False), ("false", False), ("yes", None), ("", None)]
)
def test_truth(text: str, expected: bool | None) -> None:
    assert truth(text) is expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((), True),
        ((("until", "100"),), True),
        ((("until", "50"),), False),
        ((("until", "51"),), True),
        ((("until", "100"), ("until", "50")), False),
        ((("until", "10s"),), False),
        ((("label", "a"), ("label", "empty")), True),
        ((("label", "a"), ("label", "b")), False),
        ((("label!", "a=2"),), True),
        ((("label!", "a"),), False),
    ],
)
def test_what_a_prune_takes_of_something_made_at_50(conditions: tuple[tuple[str, str], ...], expected: bool) -> None:
    assert PruneFilter.of(conditions, now=60_000_000_000).fits(50.0, LABELS) is expected


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(InvalidRequest, match="invalid filter 'size'"):
        PruneFilter.of((("size", "1"),), now=0)
