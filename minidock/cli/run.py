"""`minidock run`, `minidock container run`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.cli.container_flags.lifecycle import LifeCycleFlags
from minidock.cli.container_flags.mounts import MountFlags
from minidock.cli.container_flags.network import NetworkFlags
from minidock.cli.container_flags.process import ProcessFlags
from minidock.cli.container_flags.resources import ResourceFlags
from minidock.cli.container_flags.security import SecurityFlags


def run(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    process: ProcessFlags,
    mounts: MountFlags,
    network: NetworkFlags,
    security: SecurityFlags,
    resources: ResourceFlags,
    lifecycle: LifeCycleFlags,
    args: Annotated[list[str], typer.Argument(metavar="[COMMAND] [ARG...]")] = [],  # noqa: B006  # never changed
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run container in background and print container ID")
    ] = False,
) -> int:
    """Create and run a new container from an image."""
    from minidock.cli import options, streams
    from minidock.cli.container_flags.request import request_of
    from minidock.engine import workspace
    from minidock.engine.run import create
    from minidock.engine.supervise import run_attached, run_detached

    if not detach and not streams.are_fit(is_interactive=process.interactive, has_terminal=process.tty):
        return 1
    request = request_of(image, args, process, mounts, network, security, resources, lifecycle, is_detached=detach)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    created = create(ws, request, streams.warn)
    if not detach:
        return run_attached(ws, created, streams.standard(has_stdin=process.interactive))
    try:
        run_detached(ws, created)
    finally:
        print(created.record.id, flush=True)
    return 0
