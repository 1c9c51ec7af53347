"""`minidock report`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format

DEFAULT_FILE = "minidock-report.html"
_FORMAT_HELP = f"Print what the page is made of instead:\n{formats.DOCUMENT_HELP.partition(chr(10))[2]}"


def report(
    names: Annotated[tuple[str, ...], typer.Argument(metavar="[IMAGE...]")] = (),
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=_FORMAT_HELP)] = Format.TABLE,
    output: Annotated[
        str, typer.Option("--output", "-o", help=f'Write to a file, or STDOUT ("-") (default "{DEFAULT_FILE}")')
    ] = "",
) -> None:
    """Write a page that shows layers, who shares them, and what fills the store."""
    import sys

    import minidock
    from minidock.cli import options, streams
    from minidock.cli.commands import PROGRAM
    from minidock.core.garbage import uncollected
    from minidock.engine import report as engine
    from minidock.engine import workspace
    from minidock.engine.sinks import check_output, replacing, told
    from minidock.render.report import page

    output = output or (DEFAULT_FILE if shape is Format.TABLE else "-")
    if output != "-":
        check_output(output, "failed to write the report")
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    with uncollected():
        found = engine.report(ws, names, f"{PROGRAM} {minidock.__version__}")
        if shape is Format.JSON:
            text = formats.json_text(found.to_json()) + "\n"
        elif shape.template:
            text = shape.document(found.to_json())
        else:
            text = page(found)
    if output == "-":
        sys.stdout.write(text)
        return
    with replacing(output) as out:
        told(out.write, output)(text.encode("utf-8", "surrogateescape"))
    print(output)
