"""`minidock port`, `minidock container port`."""

from __future__ import annotations

from typing import Annotated

import typer


def port(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    private_port: Annotated[str, typer.Argument(metavar="[PRIVATE_PORT[/PROTO]]")] = "",
) -> None:
    """List port mappings or a specific mapping for the container."""
    from minidock.cli import options
    from minidock.engine import container_network, workspace

    ws = workspace.open_workspace(options.store_root())
    for mapped in container_network.ports_of(ws, container, private_port):
        print(mapped.address if private_port else f"{mapped.target} -> {mapped.address}")
