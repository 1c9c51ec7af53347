"""`minidock restart`, `minidock container restart`."""

from __future__ import annotations

from typing import Annotated

import typer


def restart(
    containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")],
    signal: Annotated[str, typer.Option("--signal", "-s", help="Signal to send to the container")] = "",
    timeout: Annotated[
        int | None,
        typer.Option("--timeout", "-t", metavar="int", help="Seconds to wait before killing the container"),
    ] = None,
    time: Annotated[int | None, typer.Option("--time", metavar="int", hidden=True, help="As --timeout")] = None,
) -> int:
    """Restart one or more containers."""
    from minidock.cli import options, streams
    from minidock.cli.each import for_each
    from minidock.engine import start as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    seconds = timeout if timeout is not None else time

    def act(name: str) -> None:
        engine.restart(ws, name, seconds=seconds, signal=signal)
        print(name, flush=True)

    return for_each(containers, act)
