"""What the relay of a container's network is told, and the files that name servers and hosts."""

from __future__ import annotations

from minidock.core.networking import Endpoint, NetworkKind
from minidock.core.process import ProcessSpec
from minidock.runtime.host_files import read
from minidock.runtime.monitor import visible
from minidock.runtime.network import name_files
from minidock.runtime.orders import EndpointOrders, NetworkOrders


def network_orders(spec: ProcessSpec) -> NetworkOrders | None:
    """Return where a network of the container's own leads to; None if it has none, or one that leads nowhere."""
    networking = spec.networking
    if networking.kind is not NetworkKind.PRIVATE:
        return None
    return NetworkOrders(
        id=spec.id,
        endpoints=[endpoint_orders(endpoint) for endpoint in networking.endpoints],
        ports=[
            (port.container_port, port.protocol, port.host_ip, port.host_port, port.host_port_end)
            for port in networking.published
        ],
        resolvers=list(networking.dns) or name_files.resolvers(read("/etc/resolv.conf") or b""),
        opens_host=networking.opens_host,
        control=networking.control,
    )


def endpoint_orders(endpoint: Endpoint) -> EndpointOrders:
    """Return what a relay is told of a connection with a network."""
    return EndpointOrders(
        directory=endpoint.directory,
        address=endpoint.address,
        gateway=endpoint.gateway,
        address6=endpoint.address6,
        gateway6=endpoint.gateway6,
        mac=endpoint.mac,
        names=list(endpoint.names),
        is_internal=endpoint.is_internal,
    )


def network_files(spec: ProcessSpec) -> list[tuple[str, bytes]]:
    """Return the files that every container is given, as (path, content): its names and its name servers.

    /etc/hostname of a build step is the image's, as with BuildKit: what is written there stays.
    """
    networking = spec.networking
    if networking.joined is not None:
        # Of the container whose network it is: the very same names.
        root = f"/proc/{visible(networking.joined[0])}/root"
        shared = [(path, read(f"{root}{path}")) for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")]
        return [(path, content) for path, content in shared if content is not None]
    files = []
    host = read("/etc/resolv.conf")
    if networking.kind is NetworkKind.PRIVATE or host is not None or networking.dns:
        files.append(("/etc/resolv.conf", name_files.resolv_conf(networking, host or b"")))
    files.append(("/etc/hosts", _hosts(spec)))
    if spec.hostname and not spec.is_build_step:
        files.append(("/etc/hostname", f"{spec.hostname}\n".encode()))
    return files


def _hosts(spec: ProcessSpec) -> bytes:
    if spec.is_build_step:
        return name_files.step_hosts(spec.networking, spec.hostname)
    of_the_host = read("/etc/hosts") if spec.networking.kind is NetworkKind.HOST else None
    return name_files.hosts(spec.networking, spec.hostname, of_the_host or b"")
