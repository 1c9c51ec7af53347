"""`minidock image files`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def image_files(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    layer: Annotated[
        str, typer.Option("--layer", help="Show what one layer holds: its number (1 is the base) or its digest")
    ] = "",
    sort: Annotated[str, typer.Option("--sort", help='Order of the files ("path", "size")')] = "path",
) -> None:
    """Show the files of an image, or what is in one of its layers."""
    from minidock.cli import options
    from minidock.core.entries import content_size
    from minidock.core.garbage import uncollected
    from minidock.core.tree_changes import tree_size
    from minidock.engine import image_contents, workspace
    from minidock.errors import InvalidRequest
    from minidock.render.console import Console
    from minidock.render.image_contents import print_files

    if sort not in ("path", "size"):
        raise InvalidRequest(f"--sort={sort}: it is path or size")
    with uncollected():
        entries = image_contents.files(workspace.open_workspace(options.store_root()), image, layer)
        total = content_size(entries) if layer else tree_size(entries)
        print_files(Console.standard(), entries, total, shape=shape, by_size=sort == "size")
