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
    detach_keys: Annotated[
        str, typer.Option("--detach-keys", help="Override the key sequence for detaching a container")
    ] = "",
    sig_proxy: Annotated[bool, typer.Option("--sig-proxy", help="Proxy received signals to the process")] = True,
) -> int:
    """Create and run a new container from an image."""
    from minidock.cli import options, pulling, streams
    from minidock.cli.container_flags.request import request_of
    from minidock.engine import workspace
    from minidock.engine.handover import run_detached
    from minidock.engine.run import create
    from minidock.engine.supervise import run_attached

    if not streams.is_possible(process, is_detached=detach):
        return 1
    keys = streams.detach_keys(detach_keys)
    request = request_of(image, args, process, mounts, network, security, resources, lifecycle, is_detached=detach)
    runtime = options.runtime(process.runtime)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting, runtime=runtime)
    with lifecycle.cid_file_reserved() as tell_id:
        starts_here = not (detach or process.tty)
        created = pulling.created(
            ws, image, process, lambda: create(ws, request, streams.warn, starts_here=starts_here)
        )
        tell_id(created.record.id)
    if not detach:
        attachment = streams.attachment(request.lifecycle.attached, keys, proxies_signals=sig_proxy)
        return run_attached(ws, created, attachment) or 0
    try:
        run_detached(ws, created)
    finally:
        print(created.record.id, flush=True)
    return 0
