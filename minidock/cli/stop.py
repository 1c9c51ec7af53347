"""`minidock stop`, `minidock container stop`."""

from __future__ import annotations

from typing import Annotated

import typer


def stop(
    containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")],
    signal: Annotated[str, typer.Option("--signal", "-s", help="Signal to send to the container")] = "",
    timeout: Annotated[
        int | None,
        typer.Option(
            "--timeout",
            "-t",
            metavar="int",
            help="Seconds to wait before killing the container (default 10; negative: for ever)",
        ),
    ] = None,
    time: Annotated[int | None, typer.Option("--time", metavar="int", hidden=True, help="As --timeout")] = None,
) -> int:
    """Stop one or more running containers."""
    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import containers as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())
    seconds = timeout if timeout is not None else time

    def act(name: str) -> None:
        engine.stop(ws, name, seconds=seconds, signal=signal)
        print(name, flush=True)

    return for_each(containers, act)
