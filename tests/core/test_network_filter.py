"""Which networks the filters of `network ls` and `network prune` leave."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from minidock.core.network_filter import select_networks, select_prunable
from minidock.core.networks import Network
from minidock.errors import InvalidRequest


def network(name: str, number: int, driver: str = "bridge", **labels: str) -> Network:
    return Network(f"{number:064x}", name, datetime(2026, 1, number, tzinfo=UTC), (), driver=driver, labels=labels)


ALL = [
    network("back", 1, tier="db"),
    network("bridge", 2),
    network("front", 3, tier="web", public=""),
    network("host", 4, "host"),
    network("none", 5, "null"),
]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ((), "back bridge front host none"),
        ((("driver", "bridge"),), "back bridge front"),
        ((("driver", "host"), ("driver", "null")), "host none"),
        ((("driver", "bridg"),), ""),
        ((("name", "b"),), "back bridge"),
        ((("name", "^f"), ("name", "st$")), "front host"),
        ((("name", "("),), ""),
        ((("id", "03"),), "front"),
        ((("label", "tier"),), "back front"),
        ((("label", "tier=web"),), "front"),
        ((("label", "tier"), ("label", "public")), "front"),
        ((("scope", "local"),), "back bridge front host none"),
        ((("scope", "swarm"),), ""),
        ((("type", "custom"),), "back front"),
        ((("type", "builtin"),), "bridge host none"),
        ((("type", "builtin"), ("type", "custom")), "back bridge front host none"),
        ((("dangling", "true"),), "front"),
        ((("dangling", "0"),), "back bridge host none"),
        ((("name", "b"), ("type", "custom")), "back"),
    ],
)
def test_a_list_holds_what_all_filters_leave(filters: tuple[tuple[str, str], ...], names: str) -> None:
    found = select_networks(ALL, filters, lambda one: one.name == "back")
    assert [one.name for one in found] == names.split()


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ((("color", "red"),), "invalid filter 'color'"),
        ((("type", "own"),), "invalid filter: 'type'='own'"),
        ((("dangling", "maybe"),), "invalid filter 'dangling=[maybe]'"),
        ((("dangling", "true"), ("dangling", "false")), "invalid filter 'dangling=[true false]'"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(filters: tuple[tuple[str, str], ...], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        select_networks(ALL, filters, lambda one: False)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ((("until", "2026-01-03"),), "back bridge"),
        ((("label", "tier"),), "back front"),
        ((("label!", "tier=web"),), "back bridge host none"),
        ((("label", "tier"), ("until", "2026-01-02")), "back"),
    ],
)
def test_a_prune_takes_what_all_filters_leave(filters: tuple[tuple[str, str], ...], names: str) -> None:
    found = select_prunable(ALL, filters, lambda text: datetime.fromisoformat(f"{text}T00:00:00+00:00"))
    assert [one.name for one in found] == names.split()


def test_a_prune_knows_no_other_filter() -> None:
    with pytest.raises(InvalidRequest, match="invalid filter 'name'"):
        select_prunable(ALL, [("name", "back")], lambda text: datetime.now(UTC))
