"""`minidock rmi`, `minidock image rm`."""

from __future__ import annotations

from typing import Annotated

import typer


def rmi(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Force removal of the image")] = False,
) -> int:
    """Remove one or more images."""
    from minidock.cli import options, streams
    from minidock.cli.each import for_each
    from minidock.engine import workspace
    from minidock.engine.collect import remove_image
    from minidock.errors import MinidockError, NoSuchImage

    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    failures = []

    def remove(name: str) -> None:
        try:
            removed = remove_image(ws, name, is_forced=force)
        except MinidockError as error:
            failures.append(error)
            raise
        for gone in removed.untagged:
            print(f"Untagged: {gone}")
        for digest in removed.deleted:
            print(f"Deleted: {digest}")

    code = for_each(images, remove)
    # What is missing already is no failure of a removal that was forced, as in docker.
    return 0 if force and all(isinstance(error, NoSuchImage) for error in failures) else code
