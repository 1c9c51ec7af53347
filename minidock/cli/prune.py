"""The prunes of images, build cache, containers, volumes, and of everything at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from minidock.core.image_filter import Filter, parse_filter
from minidock.core.units import parse_size

if TYPE_CHECKING:
    from minidock.engine.prune import Pruned
    from minidock.engine.workspace import Workspace

Force = Annotated[bool, typer.Option("--force", "-f", help="Do not prompt for confirmation")]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would go and what comes back")]
Filters = Annotated[
    tuple[Filter, ...],
    typer.Option(
        "--filter",
        parser=parse_filter,
        metavar="filter",
        help='Provide filter values (e.g. "until=<timestamp>", "label=<label>")',
    ),
]

_SURE = "Are you sure you want to continue? [y/N] "
_LIST_HEAD = "WARNING! This will remove:"


def image_prune(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Remove all unused images, not just dangling ones")] = False,
    dry_run: DryRun = False,
    filters: Filters = (),
    force: Force = False,
) -> None:
    """Remove unused images."""
    from minidock.core.filters import PruneFilter
    from minidock.engine import dry_run as dry
    from minidock.engine.prune import prune_images

    ws = _workspace()
    wanted = PruneFilter.of(filters, _now(ws))
    if dry_run:
        _foretell(dry.prune_images(ws, includes_named=all_, wanted=wanted))
        return
    what = "all images without at least one container associated to them" if all_ else "all dangling images"
    if _is_wanted(f"WARNING! This will remove {what}.\n{_SURE}", is_forced=force):
        _report(prune_images(ws, includes_named=all_, wanted=wanted))


def builder_prune(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Remove all build cache, not just dangling ones")] = False,
    dry_run: DryRun = False,
    filters: Filters = (),
    force: Force = False,
    keep_storage: Annotated[
        int,
        typer.Option(
            "--keep-storage",
            parser=parse_size,
            metavar="bytes",
            help="Remove only what is above this size on the disk: unpacked layers, then what was used least lately",
        ),
    ] = 0,
) -> None:
    """Remove build cache."""
    from minidock.core.filters import PruneFilter
    from minidock.engine import dry_run as dry
    from minidock.engine.cache_choice import CacheLimits
    from minidock.engine.prune import prune_cache

    ws = _workspace()
    limits = CacheLimits(PruneFilter.of(filters, _now(ws)), keep_storage)
    if dry_run:
        _foretell(dry.prune_cache(ws, is_all=all_, limits=limits))
        return
    what = "all build cache" if all_ else "all dangling build cache"
    if _is_wanted(f"WARNING! This will remove {what}. {_SURE}", is_forced=force):
        _report(prune_cache(ws, is_all=all_, limits=limits))


def container_prune(
    dry_run: DryRun = False,
    filters: Annotated[
        tuple[Filter, ...],
        typer.Option(
            "--filter", parser=parse_filter, metavar="filter", help='Provide filter values (e.g. "until=<timestamp>")'
        ),
    ] = (),
    force: Force = False,
) -> None:
    """Remove all stopped containers."""
    from minidock.engine import dry_run as dry
    from minidock.engine.prune import prune_containers

    if dry_run:
        _foretell(dry.prune_containers(_workspace(), filters))
        return
    if _is_wanted(f"WARNING! This will remove all stopped containers.\n{_SURE}", is_forced=force):
        _report(prune_containers(_workspace(), filters))


def volume_prune(
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Remove all unused volumes, not just anonymous ones")
    ] = False,
    dry_run: DryRun = False,
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
    from minidock.engine import dry_run as dry
    from minidock.engine.prune import prune_volumes

    wanted = VolumeFilter.of(filters, PRUNE_FILTERS)
    all_ = all_ or bool(wanted.is_all)
    if dry_run:
        _foretell(dry.prune_volumes(_workspace(), includes_named=all_, wanted=wanted))
        return
    what = "all local volumes" if all_ else "anonymous local volumes"
    if _is_wanted(f"WARNING! This will remove {what} not used by at least one container.\n{_SURE}", is_forced=force):
        _report(prune_volumes(_workspace(), includes_named=all_, wanted=wanted))


def system_prune(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Remove all unused images not just dangling ones")] = False,
    dry_run: DryRun = False,
    filters: Filters = (),
    volumes: Annotated[bool, typer.Option("--volumes", help="Prune anonymous volumes")] = False,
    force: Force = False,
) -> None:
    """Remove unused data."""
    from minidock.engine import dry_run as dry
    from minidock.engine.prune import prune_system, system_filters

    ws = _workspace()
    system_filters(ws, filters, includes_volumes=volumes)  # what cannot be is told before the question
    if dry_run:
        _foretell(dry.prune_system(ws, is_all=all_, includes_volumes=volumes, filters=filters))
        return
    things = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        "all images without at least one container associated to them" if all_ else "all dangling images",
        "all build cache" if all_ else "unused build cache",
    ]
    warning = "\n".join([_LIST_HEAD, *(f"  - {thing}" for thing in things)])
    if filters:
        chosen = (f"  - {name}={value}" for name, value in sorted(filters))
        warning = "\n".join([warning, "", "  Items to be pruned will be filtered with:", *chosen])
    if _is_wanted(f"{warning}\n\n{_SURE}", is_forced=force):
        _report(prune_system(ws, is_all=all_, includes_volumes=volumes, filters=filters))


def _is_wanted(prompt: str, *, is_forced: bool) -> bool:
    from minidock.cli.ask import is_confirmed

    return is_forced or is_confirmed(prompt)


def _workspace() -> Workspace:
    from minidock.cli import options, streams
    from minidock.engine import workspace

    return workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)


def _now(ws: Workspace) -> int:
    return int(ws.clock.now().timestamp() * 1_000_000_000)


def _report(pruned: Pruned) -> None:
    """Print what went, in docker's order; kinds of which nothing went are left out."""
    from minidock.core.units import human_size

    _list(pruned, "Deleted")
    print(f"Total reclaimed space: {human_size(pruned.size, 4)}")


def _foretell(pruned: Pruned) -> None:
    """Print what would go, and exactly how many bytes would come back."""
    from minidock.core.units import human_size

    _list(pruned, "Would delete")
    print(f"Total reclaimable space: {human_size(pruned.size, 4)} ({pruned.size} bytes)")


def _list(pruned: Pruned, done: str) -> None:
    images = [
        line
        for removed in pruned.images
        for line in (
            *(f"untagged: {name}" for name in removed.untagged),
            *(f"deleted: {digest}" for digest in removed.deleted),
        )
    ]
    for title, lines in (
        (f"{done} Containers", pruned.containers),
        (f"{done} Networks", pruned.networks),
        (f"{done} Volumes", pruned.volumes),
        (f"{done} Images", images),
        (f"{done} build cache objects", pruned.records),
    ):
        if lines:
            print("\n".join([f"{title}:", *lines, ""]))
