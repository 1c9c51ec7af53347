"""`minidock exec`, `minidock container exec`."""

from __future__ import annotations

from typing import Annotated

import typer


def exec_(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    command: Annotated[str, typer.Argument(metavar="COMMAND")],
    args: Annotated[tuple[str, ...], typer.Argument(metavar="[ARG...]")] = (),
    env: Annotated[tuple[str, ...], typer.Option("--env", "-e", metavar="list", help="Set environment variables")] = (),
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Keep STDIN open even if not attached")
    ] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Allocate a pseudo-TTY")] = False,
    user: Annotated[
        str, typer.Option("--user", "-u", help='Username or UID (format: "<name|uid>[:<group|gid>]")')
    ] = "",
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="Working directory inside the container")] = "",
) -> int:
    """Execute a command in a running container."""
    import os

    from minidock.cli import options, streams
    from minidock.engine import workspace
    from minidock.engine.exec import ExecRequest, execute

    if not streams.are_fit(is_interactive=interactive, has_terminal=tty):
        return 1
    request = ExecRequest((command, *args), env, os.environ, workdir, user, has_terminal=tty)
    ws = workspace.open_workspace(options.store_root())
    return execute(
        ws, container, request, streams.standard(("stdin", "stdout", "stderr") if interactive else ("stdout", "stderr"))
    )
