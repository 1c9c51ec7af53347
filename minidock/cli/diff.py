"""`minidock diff`, `minidock container diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def diff(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    shape: Annotated[
        Format, typer.Option("--format", parser=Format.parse, help=f"{formats.HELP}\nSizes are in bytes")
    ] = Format.TABLE,
    patch: Annotated[
        bool, typer.Option("--patch", "-p", help="Show the changed files as a patch, text line by line")
    ] = False,
    size: Annotated[
        bool, typer.Option("--size", "-s", help="Show the bytes of each change, and what copying up has cost")
    ] = False,
) -> None:
    """Inspect changes to files or directories on a container's filesystem."""
    from functools import partial

    from minidock.cli import options
    from minidock.engine import changes, workspace
    from minidock.engine.container_patch import patches
    from minidock.errors import InvalidRequest
    from minidock.render.changes import print_changes, print_patch, print_sizes
    from minidock.render.console import Console

    ws, console = workspace.open_workspace(options.store_root()), Console.standard()
    if patch and (size or shape is not Format.TABLE):
        raise InvalidRequest("--patch cannot be combined with --size or --format")
    if patch:
        patches(ws, container, partial(print_patch, console))
    elif size or shape is not Format.TABLE:
        print_sizes(console, changes.sizes(ws, container), shape=shape)
    else:
        print_changes(console, changes.changes(ws, container))
