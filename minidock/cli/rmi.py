"""`minidock rmi`, `minidock image rm`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer


def rmi(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Force removal of the image")] = False,
    no_prune: Annotated[
        bool, typer.Option("--no-prune", help="Do not delete untagged parents (no effect: they stay as build cache)")
    ] = False,
    platforms: Annotated[
        list[str], typer.Option("--platform", metavar="list", help="Remove only if the image is for such a platform")
    ] = [],  # noqa: B006
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would go and what comes back")] = False,
) -> int:
    """Remove one or more images."""
    from minidock.cli import options, streams
    from minidock.cli.each import for_each
    from minidock.engine import images as engine
    from minidock.engine import workspace
    from minidock.engine.collect import remove_image
    from minidock.engine.dry_run import ImageRemovals
    from minidock.engine.platforms import parse_platforms
    from minidock.errors import MinidockError, NoSuchImage
    from minidock.render.tables import removal_text

    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    failures = []
    size = cached = 0
    only = parse_platforms(platforms)
    trial = ImageRemovals(ws) if dry_run else None

    def remove(name: str) -> None:
        nonlocal size, cached
        try:
            if only:
                engine.require_platform(engine.find(ws, name).config, only, name)
            remover = trial.remove if trial else partial(remove_image, ws)
            removed = remover(name, is_forced=force)
        except MinidockError as error:
            failures.append(error)
            raise
        for gone in removed.untagged:
            print(f"{'Would untag' if trial else 'Untagged'}: {gone}")
        for digest in removed.deleted:
            print(f"{'Would delete' if trial else 'Deleted'}: {digest}")
        size, cached = size + removed.size, cached + removed.cached

    code = for_each(images, remove)
    if trial is not None:
        size, cached = trial.sizes()
        print(removal_text("would free", size, cached, is_exact=True))
    elif cached:
        # Not among the results, which are docker's and may be read by programs.
        print(removal_text("frees", size, cached), file=sys.stderr)
    # What is missing already is no failure of a removal that was forced, as in docker.
    return 0 if force and all(isinstance(error, NoSuchImage) for error in failures) else code
