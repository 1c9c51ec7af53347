"""`minidock diff`, `minidock container diff`."""

from __future__ import annotations

from typing import Annotated

import typer


def diff(container: Annotated[str, typer.Argument(metavar="CONTAINER")]) -> None:
    """Inspect changes to files or directories on a container's filesystem."""
    from minidock.cli import options
    from minidock.engine import changes, workspace

    for change in changes.changes(workspace.open_workspace(options.store_root()), container):
        print(change.kind, change.path)
