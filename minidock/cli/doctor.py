"""`minidock doctor`, `minidock system doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render.formats import Format


def doctor(
    shape: Annotated[
        Format,
        typer.Option("--format", parser=Format.parse, help="Format output:\n'json':             Print in JSON format"),
    ] = Format.TABLE,
) -> int:
    """Find out what works on this machine, what does not, and what would help."""
    from minidock.cli import options
    from minidock.engine import workspace
    from minidock.engine.doctor import diagnose
    from minidock.render.console import Console
    from minidock.render.doctor import print_diagnosis

    ws = workspace.open_workspace(options.store_root(), runtime=options.runtime())
    diagnosis = diagnose(ws, options.id_mode_reason())
    print_diagnosis(Console.standard(), diagnosis, shape=shape)
    return diagnosis.exit_code
