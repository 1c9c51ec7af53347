"""`minidock unshare`, `minidock system unshare`."""

from __future__ import annotations

from typing import Annotated

import typer


def unshare(args: Annotated[tuple[str, ...], typer.Argument(metavar="[COMMAND [ARG...]]")] = ()) -> int:
    """Run a command in the user namespace of the store's files."""
    import os

    from minidock.cli import options
    from minidock.engine import id_modes

    root = options.store_root()
    environment = {**os.environ, options.ROOT_VARIABLE: root}  # there one looks like root, whose store is elsewhere
    id_modes.execute(root, args or (os.environ.get("SHELL") or "/bin/sh",), environment)
