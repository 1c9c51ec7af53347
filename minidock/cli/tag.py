"""`minidock tag`, `minidock image tag`."""

from __future__ import annotations

from typing import Annotated

import typer


def tag(
    source: Annotated[str, typer.Argument(metavar="SOURCE_IMAGE[:TAG]")],
    target: Annotated[str, typer.Argument(metavar="TARGET_IMAGE[:TAG]")],
) -> None:
    """Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE."""
    from minidock.cli import options, streams
    from minidock.engine import images, workspace

    images.tag(workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting), source, target)
