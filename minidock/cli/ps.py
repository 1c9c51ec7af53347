"""`minidock ps`, `minidock container ls`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.core.image_filter import Filter, parse_filter
from minidock.render import formats
from minidock.render.formats import Format


def ps(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Show all containers (default shows just running)")] = False,
    filters: Annotated[
        tuple[Filter, ...],
        typer.Option(
            "--filter", "-f", parser=parse_filter, metavar="filter", help="Filter output based on conditions provided"
        ),
    ] = (),
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    last: Annotated[
        int, typer.Option("--last", "-n", help="Show n last created containers (includes all states)")
    ] = -1,
    latest: Annotated[
        bool, typer.Option("--latest", "-l", help="Show the latest created container (includes all states)")
    ] = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Don't truncate output")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only display container IDs")] = False,
    size: Annotated[bool, typer.Option("--size", "-s", help="Display total file sizes")] = False,
) -> None:
    """List containers."""
    from minidock.cli import options
    from minidock.engine import container_list, workspace
    from minidock.render import tables
    from minidock.render.console import Console

    count = 1 if latest and last < 0 else last
    rows = container_list.list_containers(
        workspace.open_workspace(options.store_root()),
        filters,
        includes_all=all_ or count > 0,
        has_sizes=size or ".Size" in shape.template,
        count=count if count > 0 else None,
    )
    tables.print_containers(Console.standard(), rows, shape=shape, is_cut=not no_trunc, is_quiet=quiet, has_sizes=size)
