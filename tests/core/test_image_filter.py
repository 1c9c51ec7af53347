"""Patterns and filters of `images`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from minidock.core.digest import Digest
from minidock.core.image_filter import Filter, parse_filter, select
from minidock.core.summary import ImageRow
from minidock.errors import MinidockError, NoSuchImage


def image(repository: str, tag: str, second: int) -> ImageRow:
    return ImageRow(
        repository, tag, "", Digest(f"{second:02x}" * 32), datetime(2026, 11, 23, 1, 1, second, tzinfo=UTC), 1
    )


ROWS = (
    image("lab", "1", 50),
    image("", "", 40),
    image("app", "2", 30),
    image("app", "1", 20),
    image("host/base", "latest", 10),
)


def names(*filters: Filter, pattern: str = "") -> list[str]:
    return [f"{row.repository}:{row.tag}" for row in select(ROWS, filters, pattern=pattern)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], ["lab:1", ":", "app:2", "app:1", "host/base:latest"]),
        ([("dangling", "true")], [":"]),
        ([("dangling", "0")], ["lab:1", "app:2", "app:1", "host/base:latest"]),
        ([("reference", "app:*")], ["app:2", "app:1"]),
        ([("reference", "*:1")], ["lab:1", "app:1"]),
        ([("reference", "*")], ["lab:1", "app:2", "app:1"]),
        ([("reference", "*/*")], ["host/base:latest"]),
        ([("reference", "lab"), ("reference", "app:2")], ["lab:1", "app:2"]),
        ([("before", "app:2")], ["app:1", "host/base:latest"]),
        ([("since", "host/base")], ["lab:1", ":", "app:2", "app:1"]),
        ([("since", "1e1e1e1e1e1e"), ("dangling", "false")], ["lab:1"]),
        ([("before", "lab:1"), ("reference", "app")], ["app:2", "app:1"]),
    ],
)
def test_filters_leave_what_docker_leaves(filters: list[Filter], expected: list[str]) -> None:
    assert names(*filters) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("app", ["app:2", "app:1"]), ("app:2", ["app:2"]), ("nosuch", []), ("base", []), ("a*", ["app:2", "app:1"])],
)
def test_a_pattern_is_a_repository_or_a_whole_name(pattern: str, expected: list[str]) -> None:
    assert names(pattern=pattern) == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("nope", "1"), "Invalid filter 'nope'"),
        (("dangling", "maybe"), "Invalid filter 'dangling=[maybe]'"),
        (("before", "nosuch:1"), "No such image: nosuch:1"),
    ],
)
def test_wrong_filters_have_dockers_words(wrong: Filter, message: str) -> None:
    with pytest.raises(MinidockError) as caught:
        select(ROWS, [wrong])
    assert str(caught.value) == message
    assert isinstance(caught.value, NoSuchImage) == (wrong[0] == "before")


def test_a_filter_is_a_name_and_a_value() -> None:
    assert parse_filter(" Label =stage=dev") == ("label", "stage=dev")
    with pytest.raises(MinidockError, match=r"^bad format of filter \(expected name=value\)$"):
        parse_filter("nope")
