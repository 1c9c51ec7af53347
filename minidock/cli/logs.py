"""`minidock logs`, `minidock container logs`."""

from __future__ import annotations

from typing import Annotated

import typer


def parse_tail(text: str) -> int | None:
    """Return how many lines to show; None for all, which is what docker takes every other word for."""
    return int(text) if text.isdecimal() else None


def logs(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    details: Annotated[bool, typer.Option("--details", help="Show extra details provided to logs")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow log output")] = False,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            help='Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
        ),
    ] = "",
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
    until: Annotated[
        str,
        typer.Option(
            "--until",
            help='Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
        ),
    ] = "",
) -> None:
    """Fetch the logs of a container."""
    import sys
    import time

    from minidock.cli import options
    from minidock.core.moments import parse_moment
    from minidock.engine import logs as engine
    from minidock.engine import workspace

    now = time.time_ns()
    moments = [
        parse_moment(text, now=now, zone=None, option=option) if text else None
        for option, text in (("since", since), ("until", until))
    ]
    ws = workspace.open_workspace(options.store_root())
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    parts = engine.logs(
        ws,
        container,
        follows=follow,
        last=tail,
        since=moments[0],
        until=moments[1],
        has_times=timestamps,
        has_details=details,
    )
    for stream, data in parts:
        streams[stream].write(data)
        streams[stream].flush()
