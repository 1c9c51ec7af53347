"""`minidock system reset`."""

from __future__ import annotations

from typing import Annotated

import typer


def reset(
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Do not prompt for confirmation, and end running containers")
    ] = False,
) -> None:
    """Remove everything: images, containers, volumes and build cache."""
    from minidock.cli import options, streams
    from minidock.cli.ask import is_confirmed
    from minidock.core.units import human_size
    from minidock.engine.reset import reset as reset_store

    root = options.store_root()
    warning = (
        "WARNING! This will remove:\n"
        "  - all containers\n"
        "  - all volumes, with what is in them\n"
        "  - all images\n"
        "  - all build cache\n"
        f"  - the directory {root}\n\n"
        "Are you sure you want to continue? [y/N] "
    )
    if force or is_confirmed(warning):
        size = reset_store(root, is_forced=force, waiting=streams.tell_waiting)
        print(f"Total reclaimed space: {human_size(size, 4)}")
