"""The network of one container: which addresses and ports it gets, what it is told when it starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minidock.core import networks as rules
from minidock.core.networking import Endpoint, NetworkChoice, Networking, NetworkKind, NetworkWish, with_ports
from minidock.core.networks import BRIDGE, HOST, NONE, Network
from minidock.core.published import Mapped, Published
from minidock.engine.workspace import Workspace
from minidock.errors import ContainerNotRunning, InvalidRequest, InvalidState, NoSuchNetwork, PortAllocated
from minidock.store.container_record import ContainerRecord
from minidock.store.networks import predefined
from minidock.store.session import Session

_CONTAINER = "container:"
_DEFAULT = "default"


def networking_of(ws: Workspace, session: Session, wish: NetworkWish, image_ports: Sequence[str]) -> Networking:
    """Return the network of a new container; `Locks.networks` is held until its record is in the store.

    Raises: NoSuchNetwork, NoSuchContainer, InvalidRequest.
    """
    options = wish.options
    published = options.published
    wish = wish.with_choice(BRIDGE if published or options.publishes_all else HOST)
    first = wish.choices[0].name
    exposed = with_ports((*image_ports, *options.exposed), published)
    if options.publishes_all:
        bound = {port.target for port in published}
        published += tuple(_published(port) for port in exposed if port not in bound)
    options = replace(options, published=published, exposed=exposed, name=first)
    if first in (HOST, NONE) or first.startswith(_CONTAINER):
        if len(wish.choices) > 1:
            raise InvalidRequest(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
            )
        return _mode(ws, options, wish.choices[0], is_exposing=bool(wish.options.exposed))
    linked = tuple((ws.store.containers.find(name).id, alias) for name, alias in options.links)
    endpoints = tuple(endpoint_of(ws, session, choice) for choice in wish.choices)
    return replace(options, kind=NetworkKind.PRIVATE, name=endpoints[0].network, endpoints=endpoints, links=linked)


def _published(port: str) -> Published:
    number, _, protocol = port.partition("/")
    return Published(int(number), protocol)


def _mode(ws: Workspace, options: Networking, choice: NetworkChoice, *, is_exposing: bool) -> Networking:
    """Return the network of a container that has none of its own, or of another one."""
    if choice.aliases:
        raise InvalidRequest("network-scoped aliases are only supported for user-defined networks")
    if choice.address or choice.address6:
        raise InvalidRequest("user specified IP address is supported on user defined networks only")
    if options.links:
        raise InvalidRequest("conflicting options: this type of network can't be used with links")
    if not choice.name.startswith(_CONTAINER):
        return replace(options, kind=NetworkKind(choice.name), published=())
    for is_given, words in (
        (options.dns, "dns and the"),
        (options.extra_hosts, "custom host-to-IP mapping and the"),
        (options.published, "port publishing and the container type"),
        (is_exposing, "port exposing and the container type"),
    ):
        if is_given:
            raise InvalidRequest(f"conflicting options: {words} network mode")
    other = ws.store.containers.find(choice.name.removeprefix(_CONTAINER))
    return replace(options, kind=NetworkKind.CONTAINER, name=f"{_CONTAINER}{other.id}")


def endpoint_of(ws: Workspace, session: Session, choice: NetworkChoice) -> Endpoint:
    """Return a connection with a network, with addresses that no other container has."""
    name = BRIDGE if choice.name == _DEFAULT else choice.name
    network = ws.store.networks.find(name)
    if network.name in (HOST, NONE):
        raise InvalidRequest("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    if network.name == BRIDGE:
        if choice.address or choice.address6:
            raise InvalidRequest("user specified IP address is supported on user defined networks only")
        if choice.aliases:
            raise InvalidRequest("network-scoped alias is supported only for containers in user defined networks")
        network = _bridge(ws, session)
    used = [
        address.partition("/")[0]
        for item in ws.store.containers.list()
        for endpoint in item.record.networking.endpoints
        if endpoint.network_id == network.id
        for address in (endpoint.address, endpoint.address6)
    ]
    address, gateway = rules.next_address(network, 4, used, choice.address)
    address6, gateway6 = rules.next_address(network, 6, used, choice.address6)
    return Endpoint(
        network=network.name,
        network_id=network.id,
        address=address,
        gateway=gateway,
        address6=address6,
        gateway6=gateway6,
        mac=choice.mac or rules.mac_of(address),
        aliases=choice.aliases,
        is_internal=network.is_internal,
        has_names=network.name != BRIDGE,
        is_asked_for=bool(choice.address),
    )


def _bridge(ws: Workspace, session: Session) -> Network:
    """Return the network of containers that name none, made when it is first needed."""
    network = predefined(BRIDGE)
    try:
        ws.store.networks.directory(network.id)
    except NoSuchNetwork:
        has_ipv6 = _has_ipv6()
        subnets = rules.bridge_subnets(has_ipv6=has_ipv6)
        network = replace(network, created=ws.clock.now(), subnets=subnets, has_ipv6=has_ipv6)
        ws.store.networks.create(session, network)
        return network
    return ws.store.networks.find(network.id)


def _has_ipv6() -> bool:
    """Whether the host has a way out over IPv6: without, programs that try it first would wait for nothing."""
    try:
        with open("/proc/net/ipv6_route", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        return False
    return any(fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo" for fields in lines)


def process_networking(ws: Workspace, record: ContainerRecord) -> Networking:
    """Return the network of a container that is about to start, with what is known only now.

    Raises: NoSuchNetwork, ContainerNotRunning, PortAllocated.
    """
    networking = record.networking
    if networking.kind is NetworkKind.CONTAINER:
        other = ws.store.containers.find(networking.name.removeprefix(_CONTAINER))
        if not other.is_running:
            raise ContainerNotRunning(other.id, "cannot join network of a non running container: ")
        if _is_of_host(ws, other.record):
            return replace(networking, kind=NetworkKind.HOST)  # nothing to join, and nobody but root could
        return replace(networking, joined=(other.state.pid, other.state.start_ticks))
    if networking.kind is not NetworkKind.PRIVATE:
        return networking
    _check_ports(ws, record)
    return replace(
        networking,
        endpoints=tuple(live_endpoint(ws, record, endpoint) for endpoint in networking.endpoints),
        extra_hosts=(*networking.extra_hosts, *_linked(ws, record)),
        control=ws.store.containers.path(record.id),
    )


def live_endpoint(ws: Workspace, record: ContainerRecord, endpoint: Endpoint) -> Endpoint:
    """Return a connection of a container with what is known only while that runs. Raises: NoSuchNetwork."""
    names = (record.name, record.id[:12], *([record.hostname] if record.hostname != record.id[:12] else []))
    return replace(
        endpoint,
        directory=_directory(ws, endpoint),
        names=tuple(name.lower() for name in (*names, *endpoint.aliases)) if endpoint.has_names else (),
    )


def _is_of_host(ws: Workspace, record: ContainerRecord) -> bool:
    """Whether a container uses the network of the host, be it through others."""
    while record.networking.kind is NetworkKind.CONTAINER:
        record = ws.store.containers.find(record.networking.name.removeprefix(_CONTAINER)).record
    return record.networking.kind is NetworkKind.HOST


def _directory(ws: Workspace, endpoint: Endpoint) -> str:
    try:
        return os.path.abspath(ws.store.networks.directory(endpoint.network_id))
    except NoSuchNetwork as error:
        raise NoSuchNetwork(endpoint.network) from error


def _linked(ws: Workspace, record: ContainerRecord) -> tuple[tuple[str, str], ...]:
    """Return the names of linked containers with their addresses."""
    found = []
    networks = {endpoint.network_id for endpoint in record.networking.endpoints}
    for container_id, alias in record.networking.links:
        other = ws.store.containers.get(container_id)
        if not other.is_running:
            raise InvalidState(
                f"Cannot link to a non running container: /{other.record.name} AS /{record.name}/{alias}"
            )
        for endpoint in other.record.networking.endpoints:
            if endpoint.network_id in networks:
                address = endpoint.address.partition("/")[0]
                found += [(name, address) for name in (alias, other.id[:12], other.record.name)]
    return tuple(dict.fromkeys(found))


def _check_ports(ws: Workspace, record: ContainerRecord) -> None:
    """Refuse ports that another container has, in docker's words. Raises: PortAllocated."""
    taken = [
        (mapped, item.record)
        for item in ws.store.containers.list()
        if item.is_running and item.id != record.id
        for mapped in mapped_ports(item.state.ports)
    ]
    for port in record.networking.published:
        if not port.host_port or port.host_port != port.host_port_end:
            continue
        for mapped, _ in taken:
            is_same = (mapped.protocol, mapped.host_port) == (port.protocol, port.host_port)
            if is_same and (_is_any(mapped.host_ip) or _is_any(port.host_ip) or mapped.host_ip == port.host_ip):
                raise PortAllocated(record.name, record.id, port.host_ip or "0.0.0.0", port.host_port)


def _is_any(address: str) -> bool:
    return address in ("", "0.0.0.0", "::")


def mapped_ports(ports: Sequence[Sequence[Any]]) -> tuple[Mapped, ...]:
    """Return published ports as a container's state has them."""
    return tuple(Mapped(*values) for values in ports)


def ports_of(ws: Workspace, name: str, wanted: str = "") -> tuple[Mapped, ...]:
    """Return the published ports of a container, or those of one of its ports (``80``, ``53/udp``).

    Raises: NoSuchContainer; InvalidRequest if that one is not published.
    """
    container = ws.store.containers.find(name)
    mapped = mapped_ports(container.state.ports) if container.is_live else ()
    if not wanted:
        return tuple(sorted(mapped, key=lambda port: (port.container_port, port.protocol)))
    number, _, protocol = wanted.partition("/")
    if not number.isdecimal():
        raise InvalidRequest(f"invalid port '{number}': strconv.ParseUint: parsing \"{number}\": invalid syntax")
    target = f"{int(number)}/{protocol or 'tcp'}"
    found = tuple(port for port in mapped if port.target == target)
    if not found:
        raise InvalidRequest(f"No public port '{target}' published for {name}")
    return found
