"""`minidock context ls`, `minidock context why`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from minidock.cli.values import at_least
from minidock.errors import BuildError, MinidockError
from minidock.render import formats
from minidock.render.formats import Format

_LEFT_OUT = 2

Context = Annotated[str, typer.Argument(metavar="PATH | URL | -")]
Shape = Annotated[Format, typer.Option("--format", parser=Format.parse, help=formats.DOCUMENT_HELP)]
Dockerfile = Annotated[
    str, typer.Option("--file", "-f", help="Name of the Dockerfile, beside which an ignore file of its own may stand")
]


def ls(
    path: Context,
    shape: Shape = Format.TABLE,
    file: Dockerfile = "",
    depth: Annotated[
        int,
        typer.Option("--depth", parser=at_least(1), help="Levels of directories (default 1)"),
    ] = 1,
    number: Annotated[
        int, typer.Option("--number", "-n", parser=at_least(0), help="How many parts, 0 for all (default 20)")
    ] = 20,
) -> None:
    """Show what a build context holds, its largest parts first."""
    from minidock.cli import options
    from minidock.engine import workspace
    from minidock.engine.context_look import listing
    from minidock.render.console import Console
    from minidock.render.context import print_listing

    ws = workspace.open_workspace(options.store_root())
    with _looking():
        found = listing(ws, path, file or None, sys.stdin.buffer, depth)
    print_listing(Console.standard(), found, shape=shape, most=number)


def why(
    path: Context,
    name: Annotated[str, typer.Argument(metavar="FILE")],
    shape: Shape = Format.TABLE,
    file: Dockerfile = "",
) -> int:
    """Show which ignore rule takes a file out of a build context or leaves it in."""
    from minidock.cli import options
    from minidock.engine import context_look, workspace
    from minidock.render.console import Console
    from minidock.render.context import print_why

    ws = workspace.open_workspace(options.store_root())
    with _looking():
        found = context_look.why(ws, path, name, file or None, sys.stdin.buffer)
    print_why(Console.standard(), found, shape=shape)
    return 0 if found.is_in else _LEFT_OUT


@contextmanager
def _looking() -> Iterator[None]:
    """What is wrong with a context is no failure of a build here."""
    try:
        yield
    except BuildError as error:
        raise MinidockError(str(error), hint=error.hint) from error
