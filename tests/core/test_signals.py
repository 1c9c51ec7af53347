from __future__ import annotations

from typing import Any

import pytest

from minidock.core.signals import parse_signal
from minidock.errors import InvalidSignal
from tests.vectors import params


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("sigKill", 9), ("HUP", 1), ("SIGRTMIN+15", 49), ("RTMAX", 64), ("99", 99), ("CHLD", 17)],
)
def test_a_signal_is_a_name_or_a_number(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "00", "SIG", "FOO", "SIGSIGTERM", "RTMIN+16", "RTMAX-15", "9" * 6000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidSignal) as caught:
        parse_signal(text)
    assert (str(caught.value), caught.value.text) == (f"invalid signal: {text}", text)


@pytest.mark.parametrize("case", params("signals"))
def test_vectors_of_signals(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(InvalidSignal) as caught:
            parse_signal(case["input"])
        assert str(caught.value) == case["error"]
    else:
        assert parse_signal(case["input"]) == case["number"]
