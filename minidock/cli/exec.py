"""`minidock exec`, `minidock container exec`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.cli.values import parse_variable


def exec_(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    command: Annotated[str, typer.Argument(metavar="COMMAND")],
    args: Annotated[tuple[str, ...], typer.Argument(metavar="[ARG...]")] = (),
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Detached mode: run command in the background")
    ] = False,
    detach_keys: Annotated[
        str, typer.Option("--detach-keys", help="Override the key sequence for detaching a container")
    ] = "",
    env: Annotated[
        tuple[str, ...],
        typer.Option("--env", "-e", parser=parse_variable, metavar="list", help="Set environment variables"),
    ] = (),
    env_files: Annotated[
        tuple[str, ...], typer.Option("--env-file", metavar="list", help="Read in a file of environment variables")
    ] = (),
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Keep STDIN open even if not attached")
    ] = False,
    privileged: Annotated[bool, typer.Option("--privileged", help="Give extended privileges to the command")] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Allocate a pseudo-TTY")] = False,
    user: Annotated[
        str, typer.Option("--user", "-u", help='Username or UID (format: "<name|uid>[:<group|gid>]")')
    ] = "",
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="Working directory inside the container")] = "",
) -> int:
    """Execute a command in a running container."""
    import os

    from minidock.cli import options, streams
    from minidock.cli.word_files import env_words
    from minidock.engine import workspace
    from minidock.engine.exec import ExecRequest, execute

    if not detach and not streams.are_fit(is_interactive=interactive, has_terminal=tty):
        return 1
    keys = streams.detach_keys(detach_keys)
    variables = (*env_words(env_files, os.environ), *env)
    request = ExecRequest(
        (command, *args),
        variables,
        os.environ,
        workdir,
        user,
        has_terminal=tty,
        is_detached=detach,
        is_privileged=privileged,
    )
    attached = ("stdin", "stdout", "stderr") if interactive else ("stdout", "stderr")
    ws = workspace.open_workspace(options.store_root())
    return streams.told(execute(ws, container, request, streams.attachment(attached, keys, proxies_signals=True)))
