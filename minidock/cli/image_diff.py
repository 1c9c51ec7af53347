"""`minidock image diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def image_diff(
    before: Annotated[str, typer.Argument(metavar="IMAGE")],
    after: Annotated[str, typer.Argument(metavar="OTHER_IMAGE")],
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.DOCUMENT_HELP)] = Format.TABLE,
    times: Annotated[bool, typer.Option("--times", help="Count times of files as changes, too")] = False,
) -> None:
    """Show which files were added, changed and removed between two images."""
    from minidock.cli import options
    from minidock.engine import image_contents, workspace
    from minidock.render.console import Console
    from minidock.render.image_contents import print_diff

    ws = workspace.open_workspace(options.store_root())
    print_diff(Console.standard(), image_contents.diff(ws, before, after, has_times=times), shape=shape)
