"""The options of `run` and `create` that say what process is started, and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class ProcessFlags:
    """Program, environment, user, streams."""

    entrypoint: Annotated[
        str | None, typer.Option("--entrypoint", help="Overwrite the default ENTRYPOINT of the image")
    ] = None
    env: Annotated[tuple[str, ...], typer.Option("--env", "-e", metavar="list", help="Set environment variables")] = ()
    hostname: Annotated[str, typer.Option("--hostname", "-h", help="Container host name")] = ""
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Keep STDIN open even if not attached")] = (
        False
    )
    labels: Annotated[
        tuple[str, ...], typer.Option("--label", "-l", metavar="list", help="Set meta data on a container")
    ] = ()
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Allocate a pseudo-TTY")] = False
    user: Annotated[str, typer.Option("--user", "-u", help="Username or UID (format: <name|uid>[:<group|gid>])")] = ""
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="Working directory inside the container")] = ""
