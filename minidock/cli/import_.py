"""`minidock import`, `minidock image import`."""

from __future__ import annotations

from typing import Annotated

import typer


def import_(
    file: Annotated[str, typer.Argument(metavar="file|URL|-")],
    reference: Annotated[str, typer.Argument(metavar="[REPOSITORY[:TAG]]")] = "",
    changes: Annotated[
        list[str],
        typer.Option("--change", "-c", metavar="list", help="Apply Dockerfile instruction to the created image"),
    ] = [],  # noqa: B006
    message: Annotated[str, typer.Option("--message", "-m", help="Set commit message for imported image")] = "",
    platform: Annotated[str, typer.Option("--platform", help="Set platform if server is multi-platform capable")] = "",
) -> None:
    """Import the contents from a tarball to create a filesystem image."""
    import sys
    from contextlib import AbstractContextManager, nullcontext
    from typing import BinaryIO

    from minidock.cli import options, streams
    from minidock.engine import importer, workspace
    from minidock.engine.platforms import parse_platforms
    from minidock.errors import MinidockError

    wanted = parse_platforms([platform] if platform else [])
    request = importer.ImportRequest(
        reference,
        message=message or f"Imported from {file if importer.is_url(file) else '-'}",
        changes=tuple(changes),
        platform=wanted[0] if wanted else None,
        source_date_epoch=options.source_date_epoch(),
    )
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    source: AbstractContextManager[BinaryIO]
    if importer.is_url(file):
        sys.stderr.write(f"Downloading from {file}\n")
        source = importer.downloaded(file)
    else:
        try:
            source = nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")  # noqa: SIM115  # closed below
        except OSError as error:
            raise MinidockError(f"open {file}: {(error.strerror or str(error)).lower()}") from error
    with source as stream:
        print(importer.import_image(ws, stream, request))
