"""`minidock load`, `minidock image load`."""

from __future__ import annotations

from typing import Annotated

import typer


def load(
    input_: Annotated[str, typer.Option("--input", "-i", help="Read from tar archive file, instead of STDIN")] = "",
    platforms: Annotated[
        list[str], typer.Option("--platform", metavar="list", help="Load only the given platform(s)")
    ] = [],  # noqa: B006
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Suppress the load output")] = False,
) -> None:
    """Load an image from a tar archive or STDIN."""
    import sys
    from contextlib import nullcontext

    from minidock.cli import options, streams
    from minidock.engine import workspace
    from minidock.engine.load import load as load_images
    from minidock.engine.platforms import parse_platforms
    from minidock.errors import MinidockError

    if not input_ and sys.stdin.isatty():
        raise MinidockError("requested load from stdin, but stdin is empty")
    wanted = parse_platforms(platforms)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    try:
        source = nullcontext(sys.stdin.buffer) if not input_ else open(input_, "rb")  # noqa: SIM115  # closed by `with`
    except OSError as error:
        raise MinidockError(f"open {input_}: {(error.strerror or str(error)).lower()}") from error
    with source as stream:
        for item in load_images(ws, stream, wanted):
            if item.replaced is not None and not quiet:
                old = f"renaming the old one with ID {item.replaced} to empty string"
                print(f"The image {item.name} already exists, {old}")
            print(f"Loaded image: {item.name}" if item.name else f"Loaded image ID: {item.image_id}")
