"""`minidock history`, `minidock image history`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def history(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    human: Annotated[bool, typer.Option("--human", "-H", help="Print sizes and dates in human readable format")] = True,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Don't truncate output")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only show image IDs")] = False,
) -> None:
    """Show the history of an image."""
    from minidock.cli import options
    from minidock.engine import images, workspace
    from minidock.render import tables
    from minidock.render.console import Console

    rows = images.history(workspace.open_workspace(options.store_root()), image)
    tables.print_history(Console.standard(), rows, shape=shape, is_cut=not no_trunc, is_human=human, is_quiet=quiet)
