"""`minidock info`, `minidock system info`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render.formats import Format


def info(
    shape: Annotated[
        Format,
        typer.Option(
            "--format", "-f", parser=Format.parse, help="Format output:\n'json':             Print in JSON format"
        ),
    ] = Format.TABLE,
) -> None:
    """Display system-wide information."""
    from minidock.cli import options
    from minidock.engine import info, workspace
    from minidock.render.console import Console
    from minidock.render.info import print_info

    print_info(
        Console.standard(),
        info.info(workspace.open_workspace(options.store_root(), runtime=options.runtime()), options.id_mode_reason()),
        shape=shape,
    )
