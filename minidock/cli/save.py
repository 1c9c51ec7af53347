"""`minidock save`, `minidock image save`."""

from __future__ import annotations

from typing import Annotated

import typer


def save(
    image_names: Annotated[list[str], typer.Argument(metavar="IMAGE")],
    output: Annotated[str, typer.Option("--output", "-o", help="Write to a file, instead of STDOUT")] = "",
    platforms: Annotated[
        list[str], typer.Option("--platform", metavar="list", help="Save only the given platform(s)")
    ] = [],  # noqa: B006
    since: Annotated[
        list[str],
        typer.Option("--since", metavar="list", help="Leave out the layers of an image that the other side has"),
    ] = [],  # noqa: B006
) -> None:
    """Save one or more images to a tar archive (streamed to STDOUT by default)."""
    import sys

    from minidock.cli import options, streams
    from minidock.engine import workspace
    from minidock.engine.platforms import parse_platforms
    from minidock.engine.save import save
    from minidock.engine.sinks import TarSink, check_output, replacing, told
    from minidock.errors import MinidockError

    if not output and sys.stdout.isatty():
        raise MinidockError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    wanted = parse_platforms(platforms)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    if output:
        check_output(output, "failed to save image")
        with replacing(output) as out:
            save(ws, image_names, TarSink(told(out.write, output)), wanted, since=since)
        return
    save(ws, image_names, TarSink(told(sys.stdout.buffer.write, "/dev/stdout")), wanted, since=since)
    sys.stdout.buffer.flush()
