"""`minidock import`, `minidock image import`."""

from __future__ import annotations

from typing import Annotated

import typer


def import_(
    file: Annotated[str, typer.Argument(metavar="file|-")],
    reference: Annotated[str, typer.Argument(metavar="[REPOSITORY[:TAG]]")] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="Set commit message for imported image")] = "",
) -> None:
    """Import the contents from a tarball to create a filesystem image."""
    import sys
    from contextlib import nullcontext

    from minidock.cli import options, streams
    from minidock.engine import importer, workspace
    from minidock.errors import MinidockError

    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    try:
        source = nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")  # noqa: SIM115  # closed by `with`
    except OSError as error:
        raise MinidockError(f"open {file}: {(error.strerror or str(error)).lower()}") from error
    with source as stream:
        image_id = importer.import_tar(
            ws,
            stream,
            reference or None,
            message=message or "Imported from -",
            source_date_epoch=options.source_date_epoch(),
        )
    print(image_id)
