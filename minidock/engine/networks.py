"""Networks: making and removing them, and what a container gets of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any

from minidock.core import networks as rules
from minidock.core.dataclass import dataclass
from minidock.core.moments import date_of
from minidock.core.network_filter import select_networks, select_prunable
from minidock.core.networking import Endpoint
from minidock.core.networks import Network
from minidock.core.times import format_time
from minidock.engine.workspace import Workspace
from minidock.errors import (
    InvalidRequest,
    NetworkInUse,
    NoSuchNetwork,
)
from minidock.store.container_record import ContainerRecord
from minidock.store.containers import Container


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """What `network create` is told."""

    name: str
    driver: str = rules.DRIVER
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    reserved: Mapping[str, str] = field(default_factory=dict)
    is_internal: bool = False
    is_attachable: bool = False
    has_ipv6: bool = False


def create(ws: Workspace, request: NetworkRequest) -> str:
    """Make a network; return its ID. Raises: InvalidRequest."""
    rules.check_network_name(request.name)
    if request.driver != rules.DRIVER:
        raise InvalidRequest(
            f"could not find plugin {request.driver} in v1 plugin registry: plugin not found",
            hint="the driver that there is: bridge",
        )
    with ws.store.session() as session, ws.store.locks.networks():
        present = ws.store.networks.list()
        if any(network.name == request.name for network in present):
            raise InvalidRequest(f"network with name {request.name} already exists")
        network = Network(
            id=os.urandom(32).hex(),
            name=request.name,
            created=ws.clock.now(),
            subnets=rules.chosen_subnets(
                request.subnets,
                request.gateways,
                request.ranges,
                [subnet for network in present for subnet, _, _ in network.subnets],
                has_ipv6=request.has_ipv6,
            ),
            driver=request.driver,
            is_internal=request.is_internal,
            is_attachable=request.is_attachable,
            has_ipv6=request.has_ipv6,
            labels=dict(request.labels),
            options=dict(request.options),
            reserved=dict(request.reserved),
        )
        ws.store.networks.create(session, network)
    ws.store.record_event("network", "create", network.id, {"name": network.name, "type": network.driver})
    return network.id


def remove(ws: Workspace, name: str, *, is_forced: bool = False) -> None:
    """Remove a network. Raises: NoSuchNetwork unless forced, InvalidRequest, NetworkInUse."""
    try:
        network = ws.store.networks.find(name)
    except NoSuchNetwork:
        if is_forced:
            return
        raise
    if network.is_predefined:
        raise InvalidRequest(f"{network.name} is a pre-defined network and cannot be removed")
    with ws.store.session() as session, ws.store.locks.networks():
        users = _running_on(ws, network)
        if users:
            raise NetworkInUse(network.name, network.id, [(record.name, record.id) for record in users])
        ws.store.networks.discard(session, network.id)
    ws.store.record_event("network", "destroy", network.id, {"name": network.name, "type": network.driver})


def list_networks(ws: Workspace, filters: Sequence[tuple[str, str]] = ()) -> list[Network]:
    """Return the networks that filters leave, by name. Raises: InvalidRequest."""
    used = used_by(ws.store.containers.list()) if any(key == "dangling" for key, _ in filters) else set()
    return select_networks(ws.store.networks.list(), filters, lambda network: network.id in used)


def used_by(containers: Iterable[Container]) -> set[str]:
    """Return the IDs of the networks that containers are connected with, those that do not run too."""
    return {endpoint.network_id for item in containers for endpoint in _endpoints(item.record)}


def prunable(ws: Workspace, filters: Sequence[tuple[str, str]], used: Collection[str]) -> list[Network]:
    """Return the networks that a prune takes when those with the IDs ``used`` are connected. Raises: InvalidRequest."""
    moment = partial(date_of, now=ws.clock.now())
    found = select_prunable(ws.store.networks.list(), filters, moment)
    return [network for network in found if not network.is_predefined and network.id not in used]


def prune(ws: Workspace, filters: Sequence[tuple[str, str]] = ()) -> tuple[str, ...]:
    """Remove the networks that no container is connected with, as far as filters let; return their names.

    Raises: InvalidRequest.
    """
    candidates = prunable(ws, filters, ())
    if not ws.store.exists:
        return ()
    gone = []
    with ws.store.session(is_removal=True) as session, ws.store.locks.networks():
        used = used_by(ws.store.containers.list())
        for network in candidates:
            if network.id not in used:
                ws.store.networks.discard(session, network.id)
                gone.append(network)
    for network in gone:
        ws.store.record_event("network", "destroy", network.id, {"name": network.name, "type": network.driver})
    return tuple(network.name for network in gone)


def _endpoints(record: ContainerRecord) -> tuple[Endpoint, ...]:
    return record.networking.endpoints


def _running_on(ws: Workspace, network: Network) -> list[ContainerRecord]:
    """Return the containers on a network that run."""
    return [
        item.record
        for item in ws.store.containers.list()
        if item.is_live and any(endpoint.network_id == network.id for endpoint in _endpoints(item.record))
    ]


def inspect(ws: Workspace, name: str) -> dict[str, Any]:
    """Return the members of a network, in docker's order. Raises: NoSuchNetwork."""
    network = ws.store.networks.find(name)
    config = [
        {"Subnet": subnet, **({"IPRange": part} if part else {}), "Gateway": gateway}
        for subnet, gateway, part in network.subnets
    ]
    if network.reserved and config:
        config[0]["AuxiliaryAddresses"] = dict(network.reserved)  # type: ignore[assignment]
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": format_time(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": network.has_ipv6,
        "IPAM": {"Driver": "default", "Options": {}, "Config": config},
        "Internal": network.is_internal,
        "Attachable": network.is_attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            record.id: _member(record, endpoint)
            for record in _running_on(ws, network)
            for endpoint in _endpoints(record)
            if endpoint.network_id == network.id
        },
        "Options": dict(network.options),
        "Labels": dict(network.labels),
    }


def _member(record: ContainerRecord, endpoint: Endpoint) -> dict[str, str]:
    return {
        "Name": record.name,
        "EndpointID": "",
        "MacAddress": endpoint.mac,
        "IPv4Address": endpoint.address,
        "IPv6Address": endpoint.address6,
    }
