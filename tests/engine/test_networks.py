"""Networks as the engine sees them: records, addresses, who may change what. Nothing runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.networking import NetworkChoice, Networking, NetworkKind, NetworkWish
from minidock.core.published import Published, parse_publish
from minidock.core.summary import ContainerState
from minidock.engine import network_members, networks
from minidock.engine.container_list import list_containers
from minidock.engine.container_network import ports_of
from minidock.engine.networks import NetworkRequest
from minidock.engine.run import Created, create, process_spec
from minidock.engine.run_request import RunRequest
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, InvalidState, MinidockError, NetworkInUse, NoSuchNetwork, PortAllocated
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import directory, import_base, root_tar, workspace

MINE = NetworkRequest("mine", subnets=("10.5.0.0/24",))


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    made = workspace(tmp_path / "store", FakeRuntime({"true": lambda root: None}))
    import_base(made, root_tar([directory("etc")]))
    return made


def make(ws: Workspace, name: str, *choices: NetworkChoice, **options: object) -> Created:
    wish = NetworkWish(choices, Networking(**options))  # type: ignore[arg-type]
    return create(ws, RunRequest("base:1", ("true",), name=name, network=wish), lambda text: None)


def run(ws: Workspace, created: Created, ports: tuple[tuple[int, str, str, int], ...] = ()) -> None:
    """Let a container seem to run, for as long as its lock is held."""
    state = ws.store.containers.get(created.record.id).state
    running = replace(state, status=ContainerState.RUNNING, pid=os.getpid(), ports=ports)
    ws.store.containers.write_state(created.record.id, running)


def test_containers_get_addresses_of_their_network_one_after_the_other(ws: Workspace) -> None:
    network_id = networks.create(ws, MINE)
    first = make(ws, "first", NetworkChoice("mine", aliases=("DB",)))
    second = make(ws, "second", NetworkChoice(network_id[:12]))
    third = make(ws, "third", NetworkChoice("mine", address="10.5.0.9"))
    try:
        made = [created.record.networking.endpoints[0].address for created in (first, second, third)]
        assert made == ["10.5.0.2/24", "10.5.0.3/24", "10.5.0.9/24"]
        networking = process_spec(ws, first).networking
        assert networking.kind is NetworkKind.PRIVATE
        assert networking.endpoints[0].names == ("first", first.record.id[:12], "db")
        assert networking.endpoints[0].directory == ws.store.layout.path("networks", network_id)
        with pytest.raises(InvalidRequest, match="Address already in use"):
            make(ws, "fourth", NetworkChoice("mine", address="10.5.0.9"))
    finally:
        for created in (first, second, third):
            os.close(created.lock)


@pytest.mark.parametrize(
    ("options", "choices", "expected"),
    [
        ({}, (), (NetworkKind.HOST, "host")),
        ({"published": parse_publish("80")}, (), (NetworkKind.PRIVATE, "bridge")),
        ({"publishes_all": True}, (), (NetworkKind.PRIVATE, "bridge")),
        ({}, (NetworkChoice("none"),), (NetworkKind.NONE, "none")),
        ({}, (NetworkChoice("default"),), (NetworkKind.PRIVATE, "bridge")),
    ],
)
def test_the_host_s_network_is_used_until_something_else_is_asked_for(
    ws: Workspace, options: dict[str, object], choices: tuple[NetworkChoice, ...], expected: tuple[NetworkKind, str]
) -> None:
    created = make(ws, "one", *choices, **options)
    os.close(created.lock)
    assert (created.record.networking.kind, created.record.networking.name) == expected


def test_all_exposed_ports_are_published_when_asked_for(ws: Workspace) -> None:
    created = make(ws, "one", exposed=("81/tcp", "53/udp"), published=parse_publish("8080:80"), publishes_all=True)
    os.close(created.lock)
    assert created.record.networking.exposed == ("53/udp", "80/tcp", "81/tcp")
    published = (Published(80, "tcp", "", 8080, 8080), Published(53, "udp"), Published(81, "tcp"))
    assert created.record.networking.published == published


def test_a_port_of_a_running_container_is_refused(ws: Workspace) -> None:
    first = make(ws, "first", published=parse_publish("127.0.0.1:8080:80"))
    second = make(ws, "second", published=parse_publish("8080:81"))
    third = make(ws, "third", published=parse_publish("127.0.0.2:8080:81"))
    run(ws, first, ((80, "tcp", "127.0.0.1", 8080),))
    with pytest.raises(PortAllocated) as caught:
        process_spec(ws, second)
    assert str(caught.value) == (
        "failed to set up container networking: driver failed programming external connectivity on endpoint second "
        f"({second.record.id}): Bind for 0.0.0.0:8080 failed: port is already allocated"
    )
    process_spec(ws, third)
    assert [port.address for port in ports_of(ws, "first", "80")] == ["127.0.0.1:8080"]
    with pytest.raises(InvalidRequest, match="No public port '81/tcp' published for first"):
        ports_of(ws, "first", "81")
    for created in (first, second, third):
        os.close(created.lock)
    process_spec(ws, second)  # the first is found to have ended


def test_a_network_in_use_stays_and_one_that_is_gone_is_missed(ws: Workspace) -> None:
    networks.create(ws, MINE)
    created = make(ws, "one", NetworkChoice("mine"))
    run(ws, created)
    with pytest.raises(NetworkInUse):
        networks.remove(ws, "mine")
    with pytest.raises(InvalidState, match="just starting or ending"):  # nobody answers for it
        network_members.disconnect(ws, "mine", "one")
    networks.create(ws, NetworkRequest("more"))
    with pytest.raises(InvalidState):
        network_members.connect(ws, "more", "one", NetworkChoice("more"))
    assert [one.network for one in ws.store.containers.find("one").record.networking.endpoints] == ["mine"]
    networks.remove(ws, "more")
    assert networks.prune(ws) == ()
    os.close(created.lock)
    networks.remove(ws, "mine")
    with pytest.raises(NoSuchNetwork, match="network mine not found"):
        process_spec(ws, created)


def test_containers_that_do_not_run_change_their_networks(ws: Workspace) -> None:
    networks.create(ws, MINE)
    networks.create(ws, NetworkRequest("other"))
    os.close(make(ws, "one", NetworkChoice("mine")).lock)
    network_members.connect(ws, "other", "one", NetworkChoice("other", aliases=("x",)))
    connected = ws.store.containers.find("one").record.networking.endpoints
    assert [(one.network, one.address, one.aliases) for one in connected] == [
        ("mine", "10.5.0.2/24", ()),
        ("other", "172.18.0.2/16", ("x",)),
    ]
    with pytest.raises(InvalidRequest, match="already exists in network other"):
        network_members.connect(ws, "other", "one", NetworkChoice("other"))
    network_members.disconnect(ws, "mine", "one")
    network_members.disconnect(ws, "other", "one")
    left = ws.store.containers.find("one").record.networking
    assert (left.kind, left.endpoints) == (NetworkKind.PRIVATE, ())
    assert networks.prune(ws) == ("mine", "other")
    networks.create(ws, NetworkRequest("new"))
    network_members.connect(ws, "new", "one", NetworkChoice("new"))
    assert [one.network for one in ws.store.containers.find("one").record.networking.endpoints] == ["new"]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda ws: networks.remove(ws, "bridge"), "bridge is a pre-defined network and cannot be removed"),
        (lambda ws: networks.remove(ws, "nosuch"), "network nosuch not found"),
        (lambda ws: networks.create(ws, NetworkRequest("mine")), "network with name mine already exists"),
        (
            lambda ws: networks.create(ws, NetworkRequest("x", driver="overlay")),
            "could not find plugin overlay in v1 plugin registry: plugin not found",
        ),
        (
            lambda ws: make(ws, "one", NetworkChoice("bridge", address="172.17.0.9")),
            "user specified IP address is supported on user defined networks only",
        ),
        (
            lambda ws: make(ws, "one", NetworkChoice("host"), NetworkChoice("mine")),
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ),
        (lambda ws: make(ws, "one", NetworkChoice("container:nosuch")), "No such container: nosuch"),
    ],
)
def test_mistakes_are_told_in_docker_s_words(ws: Workspace, act: Callable[[Workspace], object], message: str) -> None:
    networks.create(ws, MINE)
    with pytest.raises(MinidockError) as caught:
        act(ws)
    assert str(caught.value) == message
    assert ws.store.containers.list() == []


def test_a_prune_with_filters_leaves_the_other_networks(ws: Workspace) -> None:
    for name, label in (("kept", "old"), ("gone", "new"), ("used", "new")):
        networks.create(ws, NetworkRequest(name, labels={"age": label}))
    created = make(ws, "user", NetworkChoice("used"))
    os.close(created.lock)
    assert [one.name for one in networks.list_networks(ws, [("dangling", "true")])] == ["gone", "kept"]
    assert networks.prune(ws, [("until", "1970-01-01T00:00:01Z")]) == ()
    assert networks.prune(ws, [("label", "age=new")]) == ("gone",)
    assert [one.name for one in networks.list_networks(ws, [("type", "custom")])] == ["kept", "used"]
    with pytest.raises(InvalidRequest, match="invalid filter 'name'"):
        networks.prune(ws, [("name", "kept")])


def test_lists_filter_by_ports_of_the_host_and_ports_of_the_container(ws: Workspace) -> None:
    first = make(ws, "first", published=parse_publish("127.0.0.1:8080:80"), exposed=("53/udp",))
    second = make(ws, "second", published=parse_publish("8081:80"))
    run(ws, first, ((80, "tcp", "127.0.0.1", 8080),))

    def listed(key: str, value: str) -> list[str]:
        return [row.names[0] for row in list_containers(ws, [(key, value)], includes_all=True)]

    assert listed("publish", "8080") == listed("publish", "8000-9000/tcp") == listed("expose", "80") == ["first"]
    assert listed("expose", "53/udp") == ["first"]
    for pair in (("publish", "80"), ("publish", "8081"), ("publish", "8080/udp"), ("expose", "8080"), ("expose", "53")):
        assert listed(*pair) == []
    for created in (first, second):
        os.close(created.lock)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dns": ("1.1.1.1",)}, "dns and the"),
        ({"extra_hosts": (("a", "1.1.1.1"),)}, "custom host-to-IP mapping and the"),
        ({"published": parse_publish("80")}, "port publishing and the container type"),
        ({"exposed": ("80/tcp",)}, "port exposing and the container type"),
    ],
)
def test_the_network_of_another_container_is_taken_as_it_is(
    ws: Workspace, options: dict[str, object], words: str
) -> None:
    os.close(make(ws, "first", NetworkChoice("none")).lock)
    with pytest.raises(InvalidRequest, match=f"^conflicting options: {words} network mode$"):
        make(ws, "second", NetworkChoice("container:first"), **options)
    wish = NetworkWish((NetworkChoice("container:first"),))
    with pytest.raises(InvalidRequest, match=r"^conflicting options: hostname and the network mode$"):
        create(ws, RunRequest("base:1", ("true",), network=wish, hostname="x"), lambda text: None)
