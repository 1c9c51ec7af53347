"""The name server of a container: what it answers by itself, to the byte."""

from __future__ import annotations

import pytest

from minidock.runtime.network.names import answer, failure

QUESTION = b"\x02DB\x00\x00\x01\x00\x01"
QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + QUESTION
ADDRESSES = {"db": [b"\x0a\x00\x00\x02", b"\xfd" + bytes(15)]}


def test_a_known_name_is_answered_with_the_addresses_of_the_family() -> None:
    assert answer(QUERY, ADDRESSES.get) == (
        b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
        + QUESTION
        + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x0a\x00\x00\x02"
    )
    asked_for_ip6 = QUERY[:-3] + b"\x1c\x00\x01"
    said = answer(asked_for_ip6, ADDRESSES.get)
    assert said is not None
    assert said.endswith(b"\x00\x10\xfd" + bytes(15))


def test_a_known_name_has_nothing_of_another_type() -> None:
    asked_for_mail = QUERY[:-3] + b"\x0f\x00\x01"
    assert answer(asked_for_mail, ADDRESSES.get) == b"\x12\x34\x81\x80\x00\x01" + bytes(6) + asked_for_mail[12:]


def test_other_names_are_for_others_to_answer() -> None:
    assert answer(QUERY, {}.get) is None
    assert failure(QUERY) == b"\x12\x34\x81\x82\x00\x01" + bytes(6) + QUESTION


@pytest.mark.parametrize(
    "query",
    [
        b"",
        QUERY[:11],
        QUERY[:-1],
        QUERY[:12] + b"\xc0\x0c\x00\x01\x00\x01",
        QUERY[:4] + b"\x00\x02" + QUERY[6:],
        QUERY[:2] + b"\x81\x00" + QUERY[4:],
        QUERY[:12] + b"\x3f" * 60,
    ],
)
def test_what_is_no_query_is_not_answered(query: bytes) -> None:
    assert answer(query, ADDRESSES.get) is None
    assert failure(query) is None
