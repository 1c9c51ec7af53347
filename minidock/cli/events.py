"""`minidock events`, `minidock system events`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.core.image_filter import parse_filter
from minidock.render import formats
from minidock.render.formats import Format


def events(
    filters: Annotated[
        tuple[tuple[str, str], ...],
        typer.Option(
            "--filter",
            "-f",
            parser=parse_filter,
            metavar="filter",
            help="Filter output based on conditions provided",
        ),
    ] = (),
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    since: Annotated[str, typer.Option("--since", help="Show all events created since timestamp")] = "",
    until: Annotated[str, typer.Option("--until", help="Stream events until this timestamp")] = "",
) -> None:
    """Get real time events from the store."""
    import time

    from minidock.cli import options
    from minidock.core.happening import Filter
    from minidock.core.moments import parse_moment
    from minidock.engine import events as engine
    from minidock.engine import workspace
    from minidock.render.events import event_text

    now = time.time_ns()
    moments = [
        parse_moment(text, now=now, zone=None, option=option) if text else None
        for option, text in (("since", since), ("until", until))
    ]
    wanted = Filter(filters)
    ws = workspace.open_workspace(options.store_root())
    for event in engine.watch(ws, wanted, since=moments[0], until=moments[1]):
        print(event_text(event, shape), flush=True)
