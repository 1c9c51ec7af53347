"""`minidock inspect`, `minidock image inspect`, `minidock container inspect`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minidock.cli.values import parse_choice
from minidock.errors import MinidockError
from minidock.render.formats import DOCUMENT_HELP, Format

if TYPE_CHECKING:
    from minidock.engine.workspace import Workspace

_FORMAT_HELP = DOCUMENT_HELP


def parse_type(text: str) -> str:
    """Return the kind of object that ``--type`` names. Raises: FlagError."""
    return parse_choice(text, ("container", "image", "volume"))


def inspect(
    names: Annotated[list[str], typer.Argument(metavar="NAME|ID [NAME|ID...]")],
    shape: Annotated[Format, typer.Option("--format", "-f", parser=Format.parse, help=_FORMAT_HELP)] = Format.TABLE,
    size: Annotated[
        bool, typer.Option("--size", "-s", help="Display total file sizes if the type is container")
    ] = False,
    type_: Annotated[
        str, typer.Option("--type", parser=parse_type, metavar="string", help="Only inspect objects of the given type")
    ] = "",
) -> int:
    """Return low-level information on images, containers and volumes."""
    from minidock.engine import inspect as engine

    ws = _workspace()
    kind = engine.ObjectType(type_) if type_ else None
    return _show(names, lambda name: engine.inspect_any(ws, name, kind, has_sizes=size), shape)


def image_inspect(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE")],
    shape: Annotated[Format, typer.Option("--format", "-f", parser=Format.parse, help=_FORMAT_HELP)] = Format.TABLE,
) -> int:
    """Display detailed information on one or more images."""
    from minidock.engine import inspect as engine

    ws = _workspace()
    return _show(images, lambda name: engine.inspect_image(ws, name), shape)


def container_inspect(
    containers: Annotated[list[str], typer.Argument(metavar="CONTAINER")],
    shape: Annotated[Format, typer.Option("--format", "-f", parser=Format.parse, help=_FORMAT_HELP)] = Format.TABLE,
    size: Annotated[bool, typer.Option("--size", "-s", help="Display total file sizes")] = False,
) -> int:
    """Display detailed information on one or more containers."""
    from minidock.engine.container_inspect import inspect_container

    ws = _workspace()
    return _show(containers, lambda name: inspect_container(ws, name, has_sizes=size), shape)


def _workspace() -> Workspace:
    from minidock.cli import options
    from minidock.engine import workspace

    return workspace.open_workspace(options.store_root())


def _show(names: Sequence[str], look: Callable[[str], dict[str, Any]], shape: Format) -> int:
    """Print what was found as one array, with ``--format json`` one line each; then the errors."""
    from minidock.cli.each import tell
    from minidock.render.formats import json_document, json_text

    found, errors = [], []
    for name in names:
        try:
            found.append(look(name))
        except MinidockError as error:
            errors.append(error)
    if shape is Format.JSON:
        for members in found:
            print(json_text(members))
    elif shape.template:
        for members in found:
            print(shape.document(members), end="")
    else:
        print(json_document(found))
    return tell(errors)
