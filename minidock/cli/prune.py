"""The prunes of images, build cache, containers, volumes, and of everything at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from minidock.core.image_filter import Filter, parse_filter

if TYPE_CHECKING:
    from minidock.engine.prune import Pruned
    from minidock.engine.workspace import Workspace

Force = Annotated[bool, typer.Option("--force", "-f", help="Do not prompt for confirmation")]

_SURE = "Are you sure you want to continue? [y/N] "
_LIST_HEAD = "WARNING! This will remove:"


def image_prune(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Remove all unused images, not just dangling ones")] = False,
    force: Force = False,
) -> None:
    """Remove unused images."""
    from minidock.engine.prune import prune_images

    what = "all images without at least one container associated to them" if all_ else "all dangling images"
    if _is_wanted(f"WARNING! This will remove {what}.\n{_SURE}", is_forced=force):
        _report(prune_images(_workspace(), includes_named=all_))


def builder_prune(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Remove all build cache, not just dangling ones")] = False,
    force: Force = False,
) -> None:
    """Remove build cache."""
    from minidock.engine.prune import prune_cache

    what = "all build cache" if all_ else "all dangling build cache"
    if _is_wanted(f"WARNING! This will remove {what}. {_SURE}", is_forced=force):
        _report(prune_cache(_workspace(), is_all=all_))


def container_prune(
    filters: Annotated[
        tuple[Filter, ...],
        typer.Option(
            "--filter", parser=parse_filter, metavar="filter", help='Provide filter values (e.g. "until=<timestamp>")'
        ),
    ] = (),
    force: Force = False,
) -> None:
    """Remove all stopped containers."""
    from minidock.engine.prune import prune_containers

    if _is_wanted(f"WARNING! This will remove all stopped containers.\n{_SURE}", is_forced=force):
        _report(prune_containers(_workspace(), filters))


def volume_prune(
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Remove all unused volumes, not just anonymous ones")
    ] = False,
    filters: Annotated[
        tuple[Filter, ...],
        typer.Option(
            "--filter", parser=parse_filter, metavar="filter", help='Provide filter values (e.g. "label=<label>")'
        ),
    ] = (),
    force: Force = False,
) -> None:
    """Remove unused local volumes."""
    from minidock.core.volume import PRUNE_FILTERS, VolumeFilter
    from minidock.engine.prune import prune_volumes

    wanted = VolumeFilter.of(filters, PRUNE_FILTERS)
    all_ = all_ or bool(wanted.is_all)
    what = "all local volumes" if all_ else "anonymous local volumes"
    if _is_wanted(f"WARNING! This will remove {what} not used by at least one container.\n{_SURE}", is_forced=force):
        _report(prune_volumes(_workspace(), includes_named=all_, wanted=wanted))


def system_prune(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Remove all unused images not just dangling ones")] = False,
    volumes: Annotated[bool, typer.Option("--volumes", help="Prune anonymous volumes")] = False,
    force: Force = False,
) -> None:
    """Remove unused data."""
    from minidock.engine.prune import prune_system

    things = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        "all images without at least one container associated to them" if all_ else "all dangling images",
        "all build cache" if all_ else "unused build cache",
    ]
    warning = "\n".join([_LIST_HEAD, *(f"  - {thing}" for thing in things)])
    if _is_wanted(f"{warning}\n\n{_SURE}", is_forced=force):
        _report(prune_system(_workspace(), is_all=all_, includes_volumes=volumes))


def _is_wanted(prompt: str, *, is_forced: bool) -> bool:
    from minidock.cli.ask import is_confirmed

    return is_forced or is_confirmed(prompt)


def _workspace() -> Workspace:
    from minidock.cli import options, streams
    from minidock.engine import workspace

    return workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)


def _report(pruned: Pruned) -> None:
    """Print what went, in docker's order; kinds of which nothing went are left out."""
    from minidock.core.units import human_size

    images = [
        line
        for removed in pruned.images
        for line in (
            *(f"untagged: {name}" for name in removed.untagged),
            *(f"deleted: {digest}" for digest in removed.deleted),
        )
    ]
    for title, lines in (
        ("Deleted Containers", pruned.containers),
        ("Deleted Networks", pruned.networks),
        ("Deleted Volumes", pruned.volumes),
        ("Deleted Images", images),
        ("Deleted build cache objects", pruned.records),
    ):
        if lines:
            print("\n".join([f"{title}:", *lines, ""]))
    print(f"Total reclaimed space: {human_size(pruned.size, 4)}")
