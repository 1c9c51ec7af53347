"""`minidock image tree`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.render import formats
from minidock.render.formats import Format


def image_tree(
    image: Annotated[str, typer.Argument(metavar="[IMAGE]")] = "",
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.DOCUMENT_HELP)] = Format.TABLE,
    whatrequires: Annotated[
        bool, typer.Option("--whatrequires", help="List the images and containers that need the layers of IMAGE")
    ] = False,
) -> None:
    """Show layers and which images share them."""
    from minidock.cli import options
    from minidock.engine import image_tree as engine
    from minidock.engine import workspace
    from minidock.errors import InvalidRequest
    from minidock.render.trees import tree_lines, tree_members

    ws = workspace.open_workspace(options.store_root())
    if whatrequires and not image:
        raise InvalidRequest("--whatrequires needs an image")
    if whatrequires:
        names = engine.requirers(ws, image)
        lines, members = names, list[object](names)
    else:
        branches = engine.tree(ws, image)
        lines, members = tuple(tree_lines(branches)), list[object](tree_members(branches))
    if shape is Format.JSON:
        print(formats.json_text(members))
    elif shape.template:
        print(shape.document(members), end="")
    elif lines:
        print("\n".join(lines))
