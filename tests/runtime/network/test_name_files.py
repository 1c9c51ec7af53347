"""/etc/hosts and /etc/resolv.conf of containers."""

from __future__ import annotations

import pytest

from minidock.core.networking import Endpoint, Networking, NetworkKind
from minidock.runtime.network.name_files import hosts, resolv_conf, resolvers, step_hosts

ENDPOINT = Endpoint("mine", address="172.18.0.2/16", gateway="172.18.0.1", address6="fd00::2/64", gateway6="fd00::1")
HOST = b"# comment\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch a.example\noptions edns0 trust-ad\n"
LOCAL = hosts(Networking(NetworkKind.NONE, "none"), "", b"").decode()


def test_a_network_of_its_own_asks_the_gateway() -> None:
    networking = Networking(NetworkKind.PRIVATE, "mine", endpoints=(ENDPOINT,))
    assert resolv_conf(networking, HOST).decode() == (
        "nameserver 172.18.0.1\nsearch a.example\noptions edns0 trust-ad\n"
        "# The name server is minidock's, which asks these: 127.0.0.53\n"
    )
    assert resolvers(HOST) == ["127.0.0.53"]


def test_the_host_s_network_has_the_host_s_file_until_something_is_asked_for() -> None:
    assert resolv_conf(Networking(), HOST) == HOST
    asked = Networking(dns=("1.1.1.1",), dns_search=(".",), dns_options=("ndots:2",))
    assert resolv_conf(asked, HOST) == b"nameserver 1.1.1.1\noptions ndots:2\n"


def test_hosts_names_the_container_and_what_was_added() -> None:
    networking = Networking(
        NetworkKind.PRIVATE,
        "mine",
        endpoints=(ENDPOINT,),
        extra_hosts=(("db", "10.0.0.9"), ("me", "host-gateway")),
        domain="example",
    )
    assert hosts(networking, "box", b"").decode() == LOCAL + (
        "10.0.0.9\tdb\n172.18.0.1\tme\n172.18.0.1\thost.docker.internal\n172.18.0.1\thost.minidock.internal\n"
        "172.18.0.2\tbox.example box\nfd00::2\tbox.example box\n"
    )


@pytest.mark.parametrize(
    ("hostname", "domain", "names"),
    [("box", "", "box"), ("box.a.b", "", "box.a.b box"), ("box.a", "b", "box.a.b box"), ("box", "b.c", "box.b.c box")],
)
def test_a_host_name_with_dots_has_its_first_part_beside_it(hostname: str, domain: str, names: str) -> None:
    assert hosts(Networking(domain=domain), hostname, b"").decode() == f"{LOCAL}127.0.1.1\t{names}\n"


def test_hosts_of_the_host_s_network_are_the_host_s() -> None:
    assert hosts(Networking(), "box", b"127.0.0.1 localhost\n10.0.0.1 friend") == (
        b"127.0.0.1 localhost\n10.0.0.1 friend\n127.0.1.1\tbox\n"
    )


@pytest.mark.parametrize("kind", [NetworkKind.HOST, NetworkKind.NONE])
def test_hosts_of_a_build_step_are_the_same_on_every_machine(kind: NetworkKind) -> None:
    networking = Networking(kind, extra_hosts=(("db", "10.0.0.9"), ("me", "host-gateway")))
    assert step_hosts(networking, "box") == (
        b"127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.9\tdb\n127.0.0.1\tme\n"
    )
