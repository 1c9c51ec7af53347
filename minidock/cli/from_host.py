"""`minidock image from-host`."""

from __future__ import annotations

from typing import Annotated

import typer


def from_host(
    programs: Annotated[list[str], typer.Argument(metavar="PROGRAM")],
    tag: Annotated[str, typer.Option("--tag", "-t", help='Name and optionally a tag in the "name:tag" format')] = "",
    adds: Annotated[
        tuple[str, ...], typer.Option("--add", metavar="path", help="Add a file or a folder with everything in it")
    ] = (),
) -> None:
    """Make an image from programs of this machine."""
    import os

    from minidock.cli import options, streams
    from minidock.core.process import DEFAULT_PATH
    from minidock.engine import importer, workspace

    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    image_id = importer.from_host_image(
        ws,
        tag or None,
        programs,
        adds,
        os.environ.get("PATH") or DEFAULT_PATH,
        source_date_epoch=options.source_date_epoch(),
        warn=streams.warn,
    )
    print(image_id)
