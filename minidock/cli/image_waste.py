"""`minidock image waste`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.core.waste_limit import WasteLimit
from minidock.render import formats
from minidock.render.formats import Format

_TOO_MUCH = 2


def image_waste(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    limit: Annotated[
        WasteLimit | None,
        typer.Option(
            "--fail-above",
            metavar="SIZE|PERCENT",
            parser=WasteLimit.parse,
            help="Exit with 2 if its own layers waste more than this",
        ),
    ] = None,
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.DOCUMENT_HELP)] = Format.TABLE,
) -> int:
    """Show bytes that an image stores but does not show, and what would save them."""
    from minidock.cli import options
    from minidock.core.garbage import uncollected
    from minidock.engine import workspace
    from minidock.engine.image_waste import image_waste as find_waste
    from minidock.render.console import Console
    from minidock.render.waste import excess_text, print_waste

    console = Console.standard()
    with uncollected():
        waste, base = find_waste(workspace.open_workspace(options.store_root()), image)
        print_waste(console, image, waste, base, shape=shape)
    if limit is None or not limit.is_exceeded(waste.own_wasted, waste.size):
        return 0
    console.out.flush()
    console.err.write(f"minidock: {excess_text(image, waste, limit.text)}\n")
    return _TOO_MUCH
