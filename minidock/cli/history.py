"""`minidock history`, `minidock image history`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def history(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    graph: Annotated[
        bool, typer.Option("--graph", help="Show sizes as bars, and what of them can be seen (on a terminal)")
    ] = False,
    human: Annotated[bool, typer.Option("--human", "-H", help="Print sizes and dates in human readable format")] = True,
    lines: Annotated[
        bool,
        typer.Option(
            "--lines", help="Show lines of the Dockerfile, layers, bytes that are hidden or there twice, and reuse"
        ),
    ] = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Don't truncate output")] = False,
    platform: Annotated[
        str, typer.Option("--platform", help="Show history for the given platform, which has to be the image's")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only show image IDs")] = False,
) -> None:
    """Show the history of an image."""
    from minidock.cli import options
    from minidock.engine import images, step_details, workspace
    from minidock.engine.platforms import parse_platforms
    from minidock.render import tables
    from minidock.render.console import Console
    from minidock.render.history import print_steps

    ws, console = workspace.open_workspace(options.store_root()), Console.standard()
    if platform:
        images.require_platform(images.find(ws, image).config, parse_platforms([platform]), image)
    if (lines or graph) and not quiet:
        rows = step_details.history(ws, image)
        print_steps(console, rows, shape=shape, is_cut=not no_trunc, is_human=human, has_lines=lines, has_graph=graph)
        return
    rows = images.history(ws, image)
    tables.print_history(console, rows, shape=shape, is_cut=not no_trunc, is_human=human, is_quiet=quiet)
