"""WWW-Authenticate headers."""

from __future__ import annotations

import time

import pytest

from minidock.registry.challenge import Challenge, parse_challenges

BEARER = {"realm": "https://auth.example/token", "service": "registry", "scope": "repository:a:pull,push"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
        ("BASIC", [Challenge("basic", {})]),
        (
            'Bearer realm="https://auth.example/token",service="registry",scope="repository:a:pull,push"',
            [Challenge("bearer", BEARER)],
        ),
        ('Negotiate, Basic realm="a, b"', [Challenge("negotiate", {}), Challenge("basic", {"realm": "a, b"})]),
        (r'Bearer realm="a\"b"', [Challenge("bearer", {"realm": 'a"b'})]),
        ("Bearer Realm=x, realm=y", [Challenge("bearer", {"realm": "x"})]),
        ('realm="x"', []),
        ("", []),
        ('Bearer realm="x', [Challenge("bearer", {})]),
        ("Basic " + "x" * 20_000, []),
    ],
)
def test_a_header_is_read_as_far_as_it_can_be(header: str, expected: list[Challenge]) -> None:
    assert list(parse_challenges([header])) == expected


def test_a_hostile_header_takes_no_time() -> None:
    begun = time.process_time()
    for text in ('Bearer realm="' + "\\" * 16_000, "a" * 16_000, "a=," * 5_000, "Bearer " + 'a="' * 5_000):
        parse_challenges([text])
    assert time.process_time() - begun < 1
