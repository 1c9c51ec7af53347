"""`minidock blame`, `minidock image blame`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def blame(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    path: Annotated[str, typer.Argument(metavar="PATH")],
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.DOCUMENT_HELP)] = Format.TABLE,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Don't truncate output")] = False,
) -> None:
    """Show which instruction put a file into an image, changed or hid it."""
    from minidock.cli import options
    from minidock.engine import image_contents, workspace
    from minidock.render.blame import print_blame
    from minidock.render.console import Console

    found = image_contents.blame(workspace.open_workspace(options.store_root()), image, path)
    print_blame(
        Console.standard(),
        image,
        found.path,
        found.entry,
        found.touches,
        found.shares,
        shape=shape,
        is_cut=not no_trunc,
    )
