from __future__ import annotations

import pytest

from minidock.core.happening import Filter, Happening
from minidock.errors import InvalidRequest

DIE = Happening("container", "die", "ab" * 32, {"image": "base:1", "name": "box", "k": "v"}, 5_000_000_007)
HEALTH = DIE._replace(action="health_status: healthy")


@pytest.mark.parametrize(
    ("pairs", "is_shown"),
    [
        ([], True),
        ([("event", "die")], True),
        ([("event", "start")], False),
        ([("event", "start"), ("event", "die")], True),
        ([("event", "die"), ("type", "image")], False),
        ([("container", "box")], True),
        ([("container", "abab")], True),
        ([("container", "")], False),
        ([("image", "base")], True),
        ([("image", "base:1")], True),
        ([("image", "other")], False),
        ([("label", "k")], True),
        ([("label", "k=v"), ("label", "k=w")], False),
        ([("volume", "box")], False),
        ([("scope", "local")], True),
    ],
)
def test_filters_choose_events(pairs: list[tuple[str, str]], is_shown: bool) -> None:
    assert Filter(pairs).admits(DIE) is is_shown


def test_all_results_of_health_checks_have_one_name() -> None:
    assert Filter([("event", "health_status")]).admits(HEALTH)
    assert Filter([("event", "health_status: healthy")]).admits(HEALTH)


def test_unknown_filters_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^invalid filter 'colour'$"):
        Filter([("colour", "red")])


def test_json_has_the_members_of_older_clients_too() -> None:
    assert DIE.to_json() == {
        "status": "die",
        "id": "ab" * 32,
        "from": "base:1",
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "ab" * 32, "Attributes": {"image": "base:1", "name": "box", "k": "v"}},
        "scope": "local",
        "time": 5,
        "timeNano": 5_000_000_007,
    }
