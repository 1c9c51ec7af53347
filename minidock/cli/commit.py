"""`minidock commit`, `minidock container commit`."""

from __future__ import annotations

from typing import Annotated

import typer


def commit(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    reference: Annotated[str, typer.Argument(metavar="[REPOSITORY[:TAG]]")] = "",
    author: Annotated[
        str, typer.Option("--author", "-a", help='Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")')
    ] = "",
    changes: Annotated[
        list[str],
        typer.Option("--change", "-c", metavar="list", help="Apply Dockerfile instruction to the created image"),
    ] = [],  # noqa: B006
    message: Annotated[str, typer.Option("--message", "-m", help="Commit message")] = "",
    no_pause: Annotated[bool, typer.Option("--no-pause", help="Disable pausing container during commit")] = False,
    pause: Annotated[
        bool, typer.Option("--pause", "-p", hidden=True, help="Pause container during commit (deprecated)")
    ] = True,
) -> None:
    """Create a new image from a container's changes."""
    from minidock.cli import options, streams
    from minidock.engine import workspace
    from minidock.engine.commit import CommitRequest
    from minidock.engine.commit import commit as commit_container

    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    request = CommitRequest(
        container,
        reference,
        author=author,
        message=message,
        changes=tuple(changes),
        pauses=pause and not no_pause,
        source_date_epoch=options.source_date_epoch(),
    )
    print(commit_container(ws, request))
