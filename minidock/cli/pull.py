"""`minidock pull`, `minidock image pull`."""

from __future__ import annotations

from typing import Annotated

import typer


def pull(
    name: Annotated[str, typer.Argument(metavar="NAME[:TAG|@DIGEST]")],
    all_tags: Annotated[
        bool, typer.Option("--all-tags", "-a", help="Download all tagged images in the repository")
    ] = False,
    disable_content_trust: Annotated[
        bool, typer.Option("--disable-content-trust", hidden=True, help="Skip image verification (deprecated)")
    ] = True,
    platform: Annotated[str, typer.Option("--platform", help="Set platform if server is multi-platform capable")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Suppress verbose output")] = False,
) -> None:
    """Download an image from a registry."""
    import sys

    from minidock.cli import options, pulling, streams
    from minidock.engine import pull as engine
    from minidock.engine import workspace

    pulling.check_trust(is_disabled=disable_content_trust)
    wanted = pulling.platform_of(options.platform(platform))
    reference = pulling.named(name, all_tags=all_tags, is_quiet=quiet)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    with pulling.transferring(sys.stdout, is_quiet=quiet) as (registries, observer):
        act = engine.pull_all if all_tags else engine.pull
        act(ws, registries, reference, observer, platform=wanted)
    print(reference.name if all_tags else reference.without_digest_tag())
