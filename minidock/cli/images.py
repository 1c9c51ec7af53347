"""`minidock images`, `minidock image ls`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.core.image_filter import Filter, parse_filter
from minidock.render import formats
from minidock.render.formats import Format


def images(
    pattern: Annotated[str, typer.Argument(metavar="[REPOSITORY[:TAG]]")] = "",
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Show all images (default hides intermediate images)")
    ] = False,
    digests: Annotated[bool, typer.Option("--digests", help="Show digests")] = False,
    filters: Annotated[
        tuple[Filter, ...],
        typer.Option(
            "--filter", "-f", parser=parse_filter, metavar="filter", help="Filter output based on conditions provided"
        ),
    ] = (),
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Don't truncate output")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only show image IDs")] = False,
) -> None:
    """List images."""
    from functools import partial

    from minidock.cli import options
    from minidock.core import image_filter
    from minidock.core.moments import date_of
    from minidock.engine import image_list, workspace
    from minidock.render import tables
    from minidock.render.console import Console

    ws = workspace.open_workspace(options.store_root())
    rows = image_list.list_images(ws, include_intermediate=all_)
    tables.print_images(
        Console.standard(),
        image_filter.select(
            rows,
            filters,
            pattern=pattern,
            labels_of=partial(image_list.labels_of, ws),
            moment=partial(date_of, now=ws.clock.now()),
        ),
        shape=shape,
        is_cut=not no_trunc,
        is_quiet=quiet,
        has_digests=digests,
    )
