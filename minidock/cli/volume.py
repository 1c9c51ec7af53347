"""`minidock volume create`, `ls`, `inspect`, `rm`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from minidock.render import formats
from minidock.render.formats import Format


def create(
    volume: Annotated[str, typer.Argument(metavar="[VOLUME]")] = "",
    labels: Annotated[tuple[str, ...], typer.Option("--label", metavar="list", help="Set metadata for a volume")] = (),
) -> None:
    """Create a volume."""
    from minidock.cli import options
    from minidock.engine import volumes, workspace

    print(volumes.create(workspace.open_workspace(options.store_root()), volume, options.labels(labels)))


def ls(
    shape: Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.HELP)] = Format.TABLE,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only display volume names")] = False,
) -> None:
    """List volumes."""
    from minidock.cli import options
    from minidock.engine import volumes, workspace
    from minidock.render import tables
    from minidock.render.console import Console

    rows = volumes.list_volumes(workspace.open_workspace(options.store_root()))
    tables.print_volumes(Console.standard(), rows, shape=shape, is_quiet=quiet)


def inspect(volumes: Annotated[tuple[str, ...], typer.Argument(metavar="VOLUME")]) -> int:
    """Display detailed information on one or more volumes."""
    import json

    from minidock.cli import options
    from minidock.cli.each import for_each
    from minidock.engine import volumes as engine
    from minidock.engine import workspace

    ws = workspace.open_workspace(options.store_root())
    found: list[dict[str, Any]] = []
    code = for_each(volumes, lambda name: found.append(engine.inspect(ws, name)))
    print(json.dumps(found, indent=4, ensure_ascii=False))
    return code


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
