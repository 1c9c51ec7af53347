"""What `inspect` says of a container's network, in docker's members."""

from __future__ import annotations

from typing import Any

from minidock.core.networking import Endpoint, Networking
from minidock.core.published import Mapped
from minidock.store.containers import Container


def port_bindings(networking: Networking) -> dict[str, list[dict[str, str]]]:
    """Return `HostConfig.PortBindings`: what was asked for."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in networking.published:
        number = "" if not port.host_port else str(port.host_port)
        if port.host_port_end > port.host_port:
            number += f"-{port.host_port_end}"
        found.setdefault(port.target, []).append({"HostIp": port.host_ip, "HostPort": number})
    return found


def network_settings(container: Container) -> dict[str, Any]:
    """Return `NetworkSettings`: what there is while the container runs."""
    record, is_live = container.record, container.is_live
    networking = record.networking
    ports: dict[str, list[dict[str, str]] | None] = {}
    if is_live and networking.endpoints:
        ports = dict.fromkeys(networking.exposed)
        for values in container.state.ports:
            mapped = Mapped(*values)
            bindings = ports.get(mapped.target) or []
            ports[mapped.target] = [*bindings, {"HostIp": mapped.host_ip, "HostPort": str(mapped.host_port)}]
    names = (record.name, record.id[:12])
    networks = {one.network: _endpoint(one, names, is_live=is_live) for one in networking.endpoints}
    if not networks and not networking.name.startswith("container:"):
        networks = {networking.name: _endpoint(Endpoint(networking.name), (), is_live=is_live)}
    return {"SandboxID": "", "SandboxKey": "", "Ports": ports, "Networks": networks}


def _endpoint(endpoint: Endpoint, names: tuple[str, ...], *, is_live: bool) -> dict[str, Any]:
    address, _, prefix = endpoint.address.partition("/") if is_live else ("", "", "")
    address6, _, prefix6 = endpoint.address6.partition("/") if is_live else ("", "", "")
    has_names = endpoint.has_names and bool(names)
    return {
        "IPAMConfig": {"IPv4Address": endpoint.address.partition("/")[0]} if endpoint.is_asked_for else None,
        "Links": None,
        "Aliases": list(endpoint.aliases) or None,
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": endpoint.network_id,
        "EndpointID": "",
        "Gateway": endpoint.gateway if is_live else "",
        "IPAddress": address,
        "MacAddress": endpoint.mac if is_live else "",
        "IPPrefixLen": int(prefix or 0),
        "IPv6Gateway": endpoint.gateway6 if is_live else "",
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": int(prefix6 or 0),
        "DNSNames": [names[0], *endpoint.aliases, names[1]] if has_names else None,
    }
