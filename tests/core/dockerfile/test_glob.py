from __future__ import annotations

import pytest

from minidock.core.dockerfile.glob import has_wildcard, match
from minidock.errors import PatternError


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("*.txt", "a.txt", True),
        ("*.txt", "d/a.txt", False),
        ("**", "a", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]", "b", True),
        ("[^a-c]", "b", False),
        ("[!a]", "!", True),
        ("[c-a]", "b", False),
        ("[^c-a]", "b", True),
        ("[[]x", "[x", True),
        ("[\\]]", "]", True),
        ("a\\*", "a*", True),
        ("a\\*", "ab", False),
        ("a.c", "abc", False),
        ("&&||~~", "&&||~~", True),
        ("[&&||~~]", "~", True),
        ("", "", True),
    ],
)
def test_match(pattern: str, name: str, is_match: bool) -> None:
    assert match(pattern, name) is is_match


@pytest.mark.parametrize("pattern", ["[", "[]", "[^", "[^]", "[a", "[a-", "[-a]", "[a-]", "[]a]", "a\\", "[a-b-c]"])
def test_a_malformed_pattern_is_an_error(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        match(pattern, "a")
    assert (str(caught.value), caught.value.pattern) == ("syntax error in pattern", pattern)


def test_many_stars_do_not_take_long() -> None:
    assert match("*" * 60 + "b", "a" * 2000) is False


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("a*", True), ("a?", True), ("[a]", True), ("a\\*", False), ("a\\\\*", True), ("a]", False), ("", False)],
)
def test_an_escaped_wildcard_is_none(pattern: str, expected: bool) -> None:
    assert has_wildcard(pattern) is expected
