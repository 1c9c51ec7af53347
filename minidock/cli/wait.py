"""`minidock wait`, `minidock container wait`."""

from __future__ import annotations

from typing import Annotated

import typer


def wait(containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")]) -> int:
    """Block until one or more containers stop, then print their exit codes."""
    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import containers as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())
    return for_each(containers, lambda name: print(engine.wait(ws, name), flush=True))
