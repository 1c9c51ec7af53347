"""`minidock volume create`, `ls`, `inspect`, `rm`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.cli.values import parse_label
from minidock.core.image_filter import Filter, parse_filter
from minidock.core.volume import DRIVER
from minidock.render import formats
from minidock.render.formats import Format


def create(
    volume: Annotated[str, typer.Argument(metavar="[VOLUME]")] = "",
    driver: Annotated[str, typer.Option("--driver", "-d", help="Specify volume driver name")] = DRIVER,
    labels: Annotated[
        tuple[str, ...],
        typer.Option("--label", parser=parse_label, metavar="list", help="Set metadata for a volume"),
    ] = (),
    name: Annotated[str, typer.Option("--name", help="Specify volume name", hidden=True)] = "",
    opts: Annotated[
        tuple[str, ...],
        typer.Option("--opt", "-o", metavar="map", help="Set driver specific options (type, device, o)"),
    ] = (),
) -> None:
    """Create a volume."""
    from minidock.cli import options
    from minidock.core.volume import check_driver
    from minidock.engine import volumes, workspace
    from minidock.errors import InvalidRequest

    if name and volume:
        words = "cannot specify a volume-name through both --name and as a positional arg"
        raise InvalidRequest(f"conflicting options: {words}")
    check_driver(driver, f"create {volume or name}: ")
    ws = workspace.open_workspace(options.store_root())
    print(volumes.create(ws, volume or name, options.labels(labels), options.labels(opts)))


def ls(
    filters: Annotated[
        tuple[Filter, ...],
        typer.Option(
            "--filter", "-f", parser=parse_filter, metavar="filter", help='Provide filter values (e.g. "dangling=true")'
        ),
    ] = (),
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only display volume names")] = False,
) -> None:
    """List volumes."""
    from minidock.cli import options
    from minidock.core.volume import LIST_FILTERS, VolumeFilter
    from minidock.engine import volumes, workspace
    from minidock.render import tables
    from minidock.render.console import Console

    wanted = VolumeFilter.of(filters, LIST_FILTERS)
    rows = volumes.list_volumes(workspace.open_workspace(options.store_root()), wanted)
    tables.print_volumes(Console.standard(), rows, shape=shape, is_quiet=quiet)


def inspect(
    volumes: Annotated[tuple[str, ...], typer.Argument(metavar="VOLUME")],
    shape: Annotated[
        Format, typer.Option("--format", "-f", parser=Format.parse_document, help=formats.DOCUMENT_HELP)
    ] = Format.TABLE,
) -> int:
    """Display detailed information on one or more volumes."""
    from minidock.cli import options
    from minidock.cli.documents import show_documents
    from minidock.engine import volumes as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())
    return show_documents(volumes, lambda name: engine.inspect(ws, name), shape)


def rm(
    volumes: Annotated[tuple[str, ...], typer.Argument(metavar="VOLUME")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Force the removal of one or more volumes")] = False,
) -> int:
    """Remove one or more volumes."""
    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import volumes as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())

    def act(name: str) -> None:
        engine.remove(ws, name, is_forced=force)
        print(name, flush=True)

    return for_each(volumes, act)
