"""`minidock system df`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def df(
    names: Annotated[tuple[str, ...], typer.Argument(metavar="[NAME...]")] = (),
    disk: Annotated[
        bool, typer.Option("--disk", help="Show bytes on the disk: each term of their sum, and what its prune frees")
    ] = False,
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    if_removed: Annotated[
        bool, typer.Option("--if-removed", help="Tell what comes back if the named images, containers, volumes went")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show detailed information on space usage")] = False,
) -> None:
    """Show minidock disk usage."""
    from minidock.cli import options
    from minidock.core.garbage import uncollected
    from minidock.engine import workspace
    from minidock.errors import InvalidRequest
    from minidock.render import tables
    from minidock.render.console import Console

    if bool(names) != if_removed:
        raise InvalidRequest("--if-removed and names of what to remove go together")
    ws = workspace.open_workspace(options.store_root())
    if if_removed:
        from minidock.engine.dry_run import if_removed as look

        size, cached = look(ws, names)
        tables.print_removal(Console.standard(), size, cached, shape=shape)
        return
    from minidock.engine.disk_usage import disk_usage

    with uncollected():
        usage = disk_usage(ws)
        if disk:
            from minidock.engine.dry_run import prunes

            tables.print_disk_terms(Console.standard(), usage, dict(prunes(ws)), shape=shape)
            return
        tables.print_disk_usage(Console.standard(), usage, shape=shape, is_verbose=verbose)
