"""`minidock network create`, `ls`, `inspect`, `rm`, `connect`, `disconnect`, `prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.cli.container_flags.network import parse_address
from minidock.cli.values import parse_label
from minidock.core.image_filter import Filter, parse_filter
from minidock.errors import FlagError
from minidock.render import formats
from minidock.render.formats import Format

_List = tuple[str, ...]


def parse_pair(text: str) -> tuple[str, str]:
    """Return the two sides of ``NAME=VALUE``. Raises: FlagError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise FlagError(f"bad format of {text!r} (expected name=value)")
    return name, value


def create(
    network: Annotated[str, typer.Argument(metavar="NETWORK")],
    attachable: Annotated[bool, typer.Option("--attachable", help="Enable manual container attachment")] = False,
    aux_addresses: Annotated[
        tuple[tuple[str, str], ...],
        typer.Option(
            "--aux-address",
            parser=parse_pair,
            metavar="map",
            help="Auxiliary IPv4 or IPv6 addresses used by Network driver",
        ),
    ] = (),
    driver: Annotated[str, typer.Option("--driver", "-d", help="Driver to manage the Network")] = "bridge",
    gateways: Annotated[
        _List,
        typer.Option("--gateway", parser=parse_address, metavar="strings", help="Gateway for the master subnet"),
    ] = (),
    internal: Annotated[bool, typer.Option("--internal", help="Restrict external access to the network")] = False,
    ip_ranges: Annotated[
        _List, typer.Option("--ip-range", metavar="strings", help="Allocate container ip from a sub-range")
    ] = (),
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Enable IPv6 address assignment")] = False,
    labels: Annotated[
        _List, typer.Option("--label", parser=parse_label, metavar="list", help="Set metadata on a network")
    ] = (),
    options_: Annotated[
        tuple[tuple[str, str], ...],
        typer.Option("--opt", "-o", parser=parse_pair, metavar="map", help="Set driver specific options"),
    ] = (),
    subnets: Annotated[
        _List,
        typer.Option("--subnet", metavar="strings", help="Subnet in CIDR format that represents a network segment"),
    ] = (),
) -> None:
    """Create a network."""
    from minidock.cli import options
    from minidock.engine import networks, workspace

    request = networks.NetworkRequest(
        name=network,
        driver=driver,
        subnets=subnets,
        gateways=gateways,
        ranges=ip_ranges,
        labels=options.labels(labels),
        options=dict(options_),
        reserved=dict(aux_addresses),
        is_internal=internal,
        is_attachable=attachable,
        has_ipv6=ipv6 or any(":" in subnet for subnet in subnets),
    )
    print(networks.create(workspace.open_workspace(options.store_root()), request))


def ls(
    filters: Annotated[
        tuple[Filter, ...],
        typer.Option(
            "--filter", "-f", parser=parse_filter, metavar="filter", help='Provide filter values (e.g. "driver=bridge")'
        ),
    ] = (),
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Do not truncate the output")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only display network IDs")] = False,
) -> None:
    """List networks."""
    from minidock.cli import options
    from minidock.engine import networks, workspace
    from minidock.render import tables
    from minidock.render.console import Console

    found = networks.list_networks(workspace.open_workspace(options.store_root()), filters)
    tables.print_networks(Console.standard(), found, shape=shape, is_cut=not no_trunc, is_quiet=quiet)


def inspect(
    networks: Annotated[_List, typer.Argument(metavar="NETWORK")],
    shape: Annotated[
        Format, typer.Option("--format", "-f", parser=Format.parse_document, help=formats.DOCUMENT_HELP)
    ] = Format.TABLE,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Verbose output for diagnostics")] = False,
) -> int:
    """Display detailed information on one or more networks."""
    from minidock.cli import options
    from minidock.cli.documents import show_documents
    from minidock.engine import networks as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())
    return show_documents(networks, lambda name: engine.inspect(ws, name), shape)


def rm(
    networks: Annotated[_List, typer.Argument(metavar="NETWORK")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not error if the network does not exist")] = False,
) -> int:
    """Remove one or more networks."""
    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import networks as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())

    def act(name: str) -> None:
        engine.remove(ws, name, is_forced=force)
        print(name, flush=True)

    return for_each(networks, act)


def connect(
    network: Annotated[str, typer.Argument(metavar="NETWORK")],
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    aliases: Annotated[
        _List, typer.Option("--alias", metavar="strings", help="Add network-scoped alias for the container")
    ] = (),
    ip: Annotated[
        str, typer.Option("--ip", parser=parse_address, metavar="ip", help='IPv4 address (e.g., "172.30.100.104")')
    ] = "",
    ip6: Annotated[
        str, typer.Option("--ip6", parser=parse_address, metavar="ip", help='IPv6 address (e.g., "2001:db8::33")')
    ] = "",
) -> None:
    """Connect a container to a network."""
    from minidock.cli import options
    from minidock.core.networking import NetworkChoice
    from minidock.engine import network_members, workspace

    choice = NetworkChoice(network, aliases, ip, ip6)
    network_members.connect(workspace.open_workspace(options.store_root()), network, container, choice)


def disconnect(
    network: Annotated[str, typer.Argument(metavar="NETWORK")],
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    force: Annotated[
        bool,
        typer.Option("--force", "-f", help="Force the container to disconnect from a network (changes nothing here)"),
    ] = False,
) -> None:
    """Disconnect a container from a network."""
    from minidock.cli import options
    from minidock.engine import network_members, workspace

    network_members.disconnect(workspace.open_workspace(options.store_root()), network, container)


def prune(
    filters: Annotated[
        tuple[Filter, ...],
        typer.Option(
            "--filter", parser=parse_filter, metavar="filter", help='Provide filter values (e.g. "until=<timestamp>")'
        ),
    ] = (),
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not prompt for confirmation")] = False,
) -> None:
    """Remove all unused networks."""
    from minidock.cli import options
    from minidock.cli.ask import is_confirmed
    from minidock.engine import networks, workspace

    warning = "WARNING! This will remove all custom networks not used by at least one container.\n"
    if force or is_confirmed(f"{warning}Are you sure you want to continue? [y/N] "):
        gone = networks.prune(workspace.open_workspace(options.store_root()), filters)
        if gone:
            print("\n".join(["Deleted Networks:", *gone, ""]))
