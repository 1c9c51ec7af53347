"""Which values are hidden, and where."""

from __future__ import annotations

import pytest

from minidock.core.secret_words import looks_secret, marked, secret_values, starred, without_secrets


@pytest.mark.parametrize("name", ["API_TOKEN", "token", "db_password", "AUTH", "MY_API_KEY", "apikey", "CREDENTIALS"])
def test_names_that_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["TOKENS_PER_LINE", "MONKEY", "AUTHOR", "VERSION", ""])
def test_names_that_do_not(name: str) -> None:
    assert not looks_secret(name)


def test_a_record_has_a_mark_of_the_value_and_people_see_stars() -> None:
    values = secret_values([("TOKEN", "hunter2"), ("KEY", "hunter2-more"), ("NAME", "visible"), ("AUTH", "true")])
    assert values == ("hunter2-more", "hunter2")
    text = marked("x-hunter2-more y=hunter2 true visible", values)
    assert "hunter" not in text
    assert text != marked("x-hunter2 y=hunter2 true visible", values)
    assert starred(text) == "x-**** y=**** true visible"
    assert marked("anything", ()) == "anything"


def test_short_values_are_hidden_behind_their_names_only() -> None:
    pairs = [("TOKEN", "abc"), ("LONG_TOKEN", "abcdefgh"), ("PLAIN", "abcdefgh-no")]
    assert without_secrets("RUN |2 TOKEN=abc LONG_TOKEN=abcdefgh abc abcdefgh", pairs) == (
        "RUN |2 TOKEN=**** LONG_TOKEN=**** abc ****"
    )
