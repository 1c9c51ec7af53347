"""`minidock rename`, `minidock container rename`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.errors import MinidockError


def rename(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME")],
) -> None:
    """Rename a container."""
    from minidock.cli import options
    from minidock.engine import renaming as engine
    from minidock.engine import workspace

    try:
        engine.rename(workspace.open_workspace(options.store_root()), container, new_name)
    except MinidockError as error:
        raise MinidockError(f"failed to rename container: {error}", hint=error.hint) from error
