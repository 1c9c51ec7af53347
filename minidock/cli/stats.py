"""`minidock stats`, `minidock container stats`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def stats(
    containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")] = (),
    all_: Annotated[bool, typer.Option("--all", "-a", help="Show all containers (default shows just running)")] = False,
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Disable streaming stats and only pull the first result")
    ] = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Do not truncate output")] = False,
) -> None:
    """Display a live stream of container(s) resource usage statistics."""
    import time

    from minidock.cli import options
    from minidock.engine import stats as engine
    from minidock.engine import workspace
    from minidock.render import stats as render
    from minidock.render.console import Console

    ws = workspace.open_workspace(options.store_root())
    console = Console.standard()
    for rows in engine.watch(ws, containers, time.sleep, includes_all=all_):
        render.print_stats(console, rows, shape=shape, is_cut=not no_trunc, is_live=not no_stream)
        if no_stream or (containers and not any(row.sample for row in rows) and not all_):
            return
