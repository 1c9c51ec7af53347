"""Which subnets networks get, and which addresses containers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from minidock.core.networks import Network, check_network_name, chosen_subnets, mac_of, next_address
from minidock.errors import InvalidRequest

NETWORK = Network(
    "1" * 64,
    "mine",
    datetime(2026, 1, 1, tzinfo=UTC),
    (("10.0.0.0/29", "10.0.0.1", ""), ("fd00::/64", "fd00::1", "")),
    reserved={"printer": "10.0.0.3"},
)


def test_new_networks_get_free_subnets() -> None:
    assert chosen_subnets((), (), (), ["172.18.0.0/16"], has_ipv6=True) == (
        ("172.19.0.0/16", "172.19.0.1", ""),
        ("fd4d:696e:69:1::/64", "fd4d:696e:69:1::1", ""),
    )


def test_subnet_gateway_and_range_are_taken_as_given() -> None:
    chosen = chosen_subnets(["10.1.0.0/16"], ["10.1.9.9"], ["10.1.5.0/24"], [], has_ipv6=False)
    assert chosen == (("10.1.0.0/16", "10.1.9.9", "10.1.5.0/24"),)


@pytest.mark.parametrize(
    ("subnets", "gateways", "message"),
    [
        (["10.1.0.0/16"], (), "invalid pool request: Pool overlaps with other one on this address space"),
        (["10.2.0.0/16"], ["10.3.0.1"], "no matching subnet for gateway 10.3.0.1"),
        (["nonsense"], (), "invalid subnet nonsense: invalid CIDR block notation"),
    ],
)
def test_subnets_that_cannot_be_had(subnets: list[str], gateways: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chosen_subnets(subnets, gateways, (), ["10.1.2.0/24"], has_ipv6=False)
    assert str(caught.value) == message


def test_addresses_leave_out_gateway_reserved_and_used_ones() -> None:
    assert next_address(NETWORK, 4, ["10.0.0.2", ""]) == ("10.0.0.4/29", "10.0.0.1")
    assert next_address(NETWORK, 6, ["fd00::2"]) == ("fd00::3/64", "fd00::1")
    assert next_address(NETWORK, 4, [], "10.0.0.6") == ("10.0.0.6/29", "10.0.0.1")
    assert mac_of("10.0.0.6/29") == "02:42:0a:00:00:06"


@pytest.mark.parametrize("wanted", ["10.0.0.1", "10.0.0.2", "10.9.9.9"])
def test_addresses_that_cannot_be_had(wanted: str) -> None:
    with pytest.raises(InvalidRequest):
        next_address(NETWORK, 4, ["10.0.0.2"], wanted)


def test_a_full_network_says_so() -> None:
    used = [f"10.0.0.{number}" for number in range(2, 7)]
    with pytest.raises(InvalidRequest, match="no available IPv4 addresses"):
        next_address(NETWORK, 4, used)


@pytest.mark.parametrize("name", ["host", "none", "bridge", "default", "", "-x", "a b"])
def test_names_that_networks_cannot_have(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_network_name(name)
