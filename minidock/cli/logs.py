"""`minidock logs`, `minidock container logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.errors import FlagError


def parse_tail(text: str) -> int | None:
    """Return how many lines to show; None for all. Raises: FlagError."""
    if text == "all" or text.startswith("-"):
        return None
    if not text.isdecimal():
        raise FlagError(f"invalid number of lines: {text}")
    return int(text)


def logs(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow log output")] = False,
    tail: Annotated[
        int | None,
        typer.Option(
            "--tail",
            "-n",
            parser=parse_tail,
            metavar="string",
            help='Number of lines to show from the end of the logs (default "all")',
        ),
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Show timestamps")] = False,
) -> None:
    """Fetch the logs of a container."""
    import sys

    from minidock.cli import options
    from minidock.engine import logs as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    for stream, data in engine.logs(ws, container, follows=follow, last=tail, has_times=timestamps):
        streams[stream].write(data)
        streams[stream].flush()
