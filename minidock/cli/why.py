"""`minidock why`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def why(
    wanted: Annotated[str, typer.Argument(metavar="[IMAGE|STEP]")] = "",
    shape: Annotated[
        Format, typer.Option("--format", "-f", parser=Format.parse, help=formats.DOCUMENT_HELP)
    ] = Format.TABLE,
) -> None:
    """Show why steps of the last build were rebuilt."""
    from minidock.cli import options
    from minidock.engine import workspace
    from minidock.engine.why import last_build
    from minidock.render.console import Console
    from minidock.render.why import print_build

    build = last_build(workspace.open_workspace(options.store_root()), wanted)
    print_build(Console.standard(), build, shape=shape, is_whole=bool(wanted))
