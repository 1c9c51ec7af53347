"""What the options of `run` ask of the network."""

from __future__ import annotations

import pytest

from minidock.cli.parsing import parse, signature_of
from minidock.cli.run import run
from minidock.core.networking import NetworkChoice, Networking, NetworkWish
from minidock.errors import FlagError


def wish(*words: str) -> NetworkWish:
    values = parse([*words, "image"], signature_of(run), command="run", stops_at_argument=True)
    found = values["network"].wish()
    assert isinstance(found, NetworkWish)
    return found


@pytest.mark.parametrize(
    ("older", "now"),
    [
        (("--net", "host"), ("--network", "host")),
        (("--net=mine", "--net-alias", "a"), ("--network=mine", "--network-alias", "a")),
        (("--dns-opt", "ndots:1"), ("--dns-option", "ndots:1")),
    ],
)
def test_older_names_mean_what_the_present_ones_do(older: tuple[str, ...], now: tuple[str, ...]) -> None:
    assert wish(*older) == wish(*now) != NetworkWish()


def test_what_is_said_beside_the_network_is_of_the_first() -> None:
    words = ("--network", "name=a,alias=x,ip=10.0.0.2", "--network", "b", "--network-alias", "y", "--ip6", "fd00::2")
    first = NetworkChoice("a", ("x", "y"), "10.0.0.2", "fd00::2")
    assert wish(*words) == NetworkWish((first, NetworkChoice("b")), Networking())


@pytest.mark.parametrize(
    ("value", "reason"), [("name=a,foo=x", "invalid field key foo"), ("alias=x", "network name/id is not specified")]
)
def test_a_network_that_cannot_be_understood_is_a_wrong_flag(value: str, reason: str) -> None:
    with pytest.raises(FlagError) as caught:
        wish("--network", value)
    assert str(caught.value) == f'invalid argument "{value}" for "--network" flag: {reason}'
