"""`minidock top`, `minidock container top`."""

from __future__ import annotations

from typing import Annotated

import typer


def top(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    ps_options: Annotated[tuple[str, ...], typer.Argument(metavar="[ps OPTIONS]")] = (),
) -> None:
    """Display the running processes of a container."""
    from minidock.cli import options
    from minidock.engine import top as engine
    from minidock.engine import workspace
    from minidock.render import stats
    from minidock.render.console import Console

    ws = workspace.open_workspace(options.store_root())
    stats.print_processes(Console.standard(), *engine.top(ws, container, ps_options))
