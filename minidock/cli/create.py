"""`minidock create`, `minidock container create`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.cli.container_flags.lifecycle import LifeCycleFlags
from minidock.cli.container_flags.mounts import MountFlags
from minidock.cli.container_flags.network import NetworkFlags
from minidock.cli.container_flags.process import ProcessFlags
from minidock.cli.container_flags.resources import ResourceFlags
from minidock.cli.container_flags.security import SecurityFlags


def create(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    process: ProcessFlags,
    mounts: MountFlags,
    network: NetworkFlags,
    security: SecurityFlags,
    resources: ResourceFlags,
    lifecycle: LifeCycleFlags,
    args: Annotated[list[str], typer.Argument(metavar="[COMMAND] [ARG...]")] = [],  # noqa: B006  # never changed
) -> None:
    """Create a new container."""
    import os

    from minidock.cli import options, pulling, streams
    from minidock.cli.container_flags.request import request_of
    from minidock.engine import run as engine
    from minidock.engine import workspace

    request = request_of(
        image, args, process, mounts, network, security, resources, lifecycle, is_detached=False, is_made_only=True
    )
    runtime = options.runtime(process.runtime)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting, runtime=runtime)
    with lifecycle.cid_file_reserved() as tell_id:
        created = pulling.created(ws, image, process, lambda: engine.create(ws, request, streams.warn))
        tell_id(created.record.id)
    os.close(created.lock)
    print(created.record.id)
