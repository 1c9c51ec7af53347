"""`minidock inspect`, `minidock image inspect`, `minidock container inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from minidock.cli.documents import show_documents
from minidock.render.formats import DOCUMENT_HELP, Format

if TYPE_CHECKING:
    from minidock.engine.workspace import Workspace


def inspect(
    names: Annotated[list[str], typer.Argument(metavar="NAME|ID [NAME|ID...]")],
    shape: Annotated[
        Format, typer.Option("--format", "-f", parser=Format.parse_document, help=DOCUMENT_HELP)
    ] = Format.TABLE,
    size: Annotated[
        bool, typer.Option("--size", "-s", help="Display total file sizes if the type is container")
    ] = False,
    type_: Annotated[str, typer.Option("--type", metavar="string", help="Only inspect objects of the given type")] = "",
) -> int:
    """Return low-level information on containers, images, networks and volumes."""
    from minidock.cli import streams
    from minidock.engine import inspect as engine

    ws = _workspace()
    kind = engine.ObjectType.parse(type_) if type_ else None

    def look(name: str) -> dict[str, Any]:
        found, members = engine.inspect_any(ws, name, kind, has_sizes=size)
        if size and found is not engine.ObjectType.CONTAINER:
            streams.warn(f"--size ignored for {found}")
        return members

    return show_documents(names, look, shape)


def image_inspect(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE")],
    shape: Annotated[
        Format, typer.Option("--format", "-f", parser=Format.parse_document, help=DOCUMENT_HELP)
    ] = Format.TABLE,
    platform: Annotated[
        str, typer.Option("--platform", help="Inspect a specific platform of the multi-platform image")
    ] = "",
    remote: Annotated[bool, typer.Option("--remote", help="Ask the registry, and leave the image there")] = False,
) -> int:
    """Display detailed information on one or more images."""
    from minidock.cli.pulling import platform_of
    from minidock.engine import inspect as engine

    if remote:
        return _remote_inspect(images, shape, platform)
    ws, wanted = _workspace(), platform_of(platform)
    return show_documents(images, lambda name: engine.inspect_image(ws, name, wanted), shape)


def _remote_inspect(images: list[str], shape: Format, platform: str) -> int:
    import os
    from contextlib import closing

    from minidock.cli import streams
    from minidock.cli.pulling import platform_of
    from minidock.engine.registries import open_registries
    from minidock.engine.remote import inspect_remote

    wanted = platform_of(platform)
    with closing(open_registries(os.environ, streams.warn)) as registries:
        return show_documents(images, lambda name: inspect_remote(registries, name, wanted), shape)


def container_inspect(
    containers: Annotated[list[str], typer.Argument(metavar="CONTAINER")],
    shape: Annotated[
        Format, typer.Option("--format", "-f", parser=Format.parse_document, help=DOCUMENT_HELP)
    ] = Format.TABLE,
    size: Annotated[bool, typer.Option("--size", "-s", help="Display total file sizes")] = False,
) -> int:
    """Display detailed information on one or more containers."""
    from minidock.engine.container_inspect import inspect_container

    ws = _workspace()
    return show_documents(containers, lambda name: inspect_container(ws, name, has_sizes=size), shape)


def _workspace() -> Workspace:
    from minidock.cli import options
    from minidock.engine import workspace

    return workspace.open_workspace(options.store_root())
