"""`minidock rm`, `minidock container rm`."""

from __future__ import annotations

from typing import Annotated

import typer


def rm(
    containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")],
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Force the removal of a running container (uses SIGKILL)")
    ] = False,
    link: Annotated[bool, typer.Option("--link", "-l", help="Remove the specified link")] = False,
    volumes: Annotated[
        bool, typer.Option("--volumes", "-v", help="Remove anonymous volumes associated with the container")
    ] = False,
) -> int:
    """Remove one or more containers."""
    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import container_removal as engine
    from minidock.engine import workspace
    from minidock.errors import InvalidRequest, NoSuchContainer

    ws = workspace.open_workspace(options.store_root())

    if link:
        raise InvalidRequest("links between containers do not exist here", hint="remove the container without --link")

    def act(name: str) -> None:
        try:
            engine.remove(ws, name, is_forced=force, removes_volumes=volumes)
        except NoSuchContainer:
            if not force:
                raise
        else:
            print(name, flush=True)

    return for_each(containers, act)
