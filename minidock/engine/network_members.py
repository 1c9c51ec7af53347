"""Connecting containers with networks and taking them off again, be they running or not."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from minidock.core.networking import Endpoint, NetworkChoice, NetworkKind
from minidock.core.networks import HOST, NONE, Network
from minidock.core.summary import ContainerState
from minidock.engine.container_network import endpoint_of, live_endpoint
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, InvalidState, RuntimeProblem
from minidock.runtime.messages import Failure
from minidock.runtime.network import control
from minidock.runtime.network_orders import endpoint_orders
from minidock.store.container_record import ContainerRecord
from minidock.store.containers import Container


def connect(ws: Workspace, name: str, container_name: str, choice: NetworkChoice) -> None:
    """Connect a container with one more network; one that runs has it at once.

    Raises: NoSuchNetwork, NoSuchContainer, InvalidRequest, InvalidState; RuntimeProblem if the kernel refuses.
    """
    network = ws.store.networks.find(name)
    container = ws.store.containers.find(container_name)
    if network.name in (HOST, NONE) or container.record.networking.kind is not NetworkKind.PRIVATE:
        raise InvalidRequest(
            "container cannot be connected to network: it, or the network, shares the network of the host or has none"
        )
    if _endpoint(container.record, network) is not None:
        raise InvalidRequest(f"endpoint with name {container.record.name} already exists in network {network.name}")
    with ws.store.session() as session, ws.store.locks.networks():
        endpoint = endpoint_of(ws, session, replace(choice, name=network.id))
        # The record comes first: an address that is in use stands in it whatever happens in between.
        record = _change(ws, container, lambda endpoints: (*endpoints, endpoint))
        try:
            _ask(ws, container, control.CONNECT, live_endpoint(ws, record, endpoint))
        except BaseException:
            _change(ws, container, lambda endpoints: _without(endpoints, network))
            raise
    _tell(ws, "connect", network, container.id)


def disconnect(ws: Workspace, name: str, container_name: str) -> None:
    """Take a container off a network; one that runs is off at once.

    Raises: NoSuchNetwork, NoSuchContainer, InvalidRequest, InvalidState, RuntimeProblem.
    """
    network = ws.store.networks.find(name)
    container = ws.store.containers.find(container_name)
    if container.record.networking.kind is NetworkKind.HOST and network.name == HOST:
        raise InvalidRequest("container cannot be disconnected from host network or connected to host network")
    endpoint = _endpoint(container.record, network)
    if endpoint is None:
        raise InvalidRequest(f"container {container.id} is not connected to network {network.name}")
    with ws.store.session(), ws.store.locks.networks():
        _ask(ws, container, control.DISCONNECT, live_endpoint(ws, container.record, endpoint))
        _change(ws, container, lambda endpoints: _without(endpoints, network))
    _tell(ws, "disconnect", network, container.id)


def _endpoint(record: ContainerRecord, network: Network) -> Endpoint | None:
    return next((one for one in record.networking.endpoints if one.network_id == network.id), None)


def _without(endpoints: tuple[Endpoint, ...], network: Network) -> tuple[Endpoint, ...]:
    return tuple(endpoint for endpoint in endpoints if endpoint.network_id != network.id)


def _change(
    ws: Workspace, container: Container, change: Callable[[tuple[Endpoint, ...]], tuple[Endpoint, ...]]
) -> ContainerRecord:
    def changed(record: ContainerRecord) -> ContainerRecord:
        networking = record.networking
        return replace(record, networking=replace(networking, endpoints=change(networking.endpoints)))

    return ws.store.containers.change(container.id, changed)


def _ask(ws: Workspace, container: Container, verb: str, endpoint: Endpoint) -> None:
    """Have a container that runs changed at once; one that does not has its networks when it starts."""
    if not container.is_watched or container.state.status is ContainerState.RESTARTING:
        return
    directory = os.path.abspath(ws.store.containers.path(container.id))
    try:
        control.ask(directory, verb, endpoint_orders(endpoint))
    except control.NotListening as error:
        raise InvalidState(
            f"container {container.id} is just starting or ending: its networks cannot be changed now",
            hint="try again, or stop it, change its networks and start it",
        ) from error
    except Failure as error:
        raise RuntimeProblem(error.text) from error


def _tell(ws: Workspace, action: str, network: Network, container_id: str) -> None:
    attributes = {"container": container_id, "name": network.name, "type": network.driver}
    ws.store.record_event("network", action, network.id, attributes)
