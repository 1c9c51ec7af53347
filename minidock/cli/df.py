"""`minidock system df`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def df(
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show detailed information on space usage")] = False,
) -> None:
    """Show minidock disk usage."""
    from minidock.cli import options
    from minidock.engine import workspace
    from minidock.engine.disk_usage import disk_usage
    from minidock.render import tables
    from minidock.render.console import Console

    usage = disk_usage(workspace.open_workspace(options.store_root()))
    tables.print_disk_usage(Console.standard(), usage, shape=shape, is_verbose=verbose)
