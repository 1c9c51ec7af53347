"""`minidock cp`, `minidock container cp`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.cli.commands import PROGRAM


def cp(
    source: Annotated[
        str, typer.Argument(metavar=f"CONTAINER:SRC_PATH DEST_PATH|-\n\t{PROGRAM} cp [OPTIONS] SRC_PATH|-")
    ],
    target: Annotated[str, typer.Argument(metavar="CONTAINER:DEST_PATH")],
    archive: Annotated[
        bool, typer.Option("--archive", "-a", help="Archive mode (copy all uid/gid information)")
    ] = False,
    follow_link: Annotated[
        bool, typer.Option("--follow-link", "-L", help="Always follow symlinks in SRC_PATH")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Suppress progress output during copy. "
            "Progress output is automatically suppressed if no terminal is attached",
        ),
    ] = False,
) -> None:
    """Copy files/folders between a container and the local filesystem."""
    import sys

    from minidock.cli import options
    from minidock.core.copy_rules import CopyPath
    from minidock.core.units import human_size
    from minidock.engine import workspace
    from minidock.engine.copy_files import CopyRequest, copy

    request = CopyRequest(
        CopyPath.parse(source), CopyPath.parse(target), follows_link=follow_link, keeps_owners=archive
    )
    ws = workspace.open_workspace(options.store_root())
    copied = copy(ws, request, sys.stdin.buffer, sys.stdout.buffer)
    if not quiet and sys.stderr.isatty() and copied.target != "-":
        sys.stderr.write(f"Successfully copied {human_size(copied.size)} to {copied.target}\n")
