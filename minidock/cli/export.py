"""`minidock export`, `minidock container export`."""

from __future__ import annotations

from typing import Annotated

import typer


def export(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    output: Annotated[str, typer.Option("--output", "-o", help="Write to a file, instead of STDOUT")] = "",
) -> None:
    """Export a container's filesystem as a tar archive."""
    import sys

    from minidock.cli import options, streams
    from minidock.engine import workspace
    from minidock.engine.export_container import export_container
    from minidock.engine.sinks import check_output, replacing, told
    from minidock.errors import MinidockError

    if not output and sys.stdout.isatty():
        raise MinidockError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    if output:
        check_output(output, "failed to export container")
        with replacing(output) as out:
            export_container(ws, container, told(out.write, output))
        return
    export_container(ws, container, told(sys.stdout.buffer.write, "/dev/stdout"))
    sys.stdout.buffer.flush()
