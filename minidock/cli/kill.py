"""`minidock kill`, `minidock container kill`."""

from __future__ import annotations

from typing import Annotated

import typer


def kill(
    containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")],
    signal: Annotated[str, typer.Option("--signal", "-s", help="Signal to send to the container")] = "KILL",
) -> int:
    """Kill one or more running containers."""
    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import containers as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())

    def act(name: str) -> None:
        engine.kill(ws, name, signal)
        print(name, flush=True)

    return for_each(containers, act)
