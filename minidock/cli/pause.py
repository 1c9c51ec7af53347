"""`minidock pause` and `unpause`, `minidock container pause` and `unpause`."""

from __future__ import annotations

from typing import Annotated

import typer


def pause(containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")]) -> int:
    """Pause all processes within one or more containers."""
    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import pausing, workspace

    ws = workspace.open_workspace(options.store_root())

    def act(name: str) -> None:
        pausing.pause(ws, name)
        print(name, flush=True)

    return for_each(containers, act)


def unpause(containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")]) -> int:
    """Unpause all processes within one or more containers."""
    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import pausing, workspace

    ws = workspace.open_workspace(options.store_root())

    def act(name: str) -> None:
        pausing.unpause(ws, name)
        print(name, flush=True)

    return for_each(containers, act)
