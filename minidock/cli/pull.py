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
    import os
    import sys
    from contextlib import closing

    from minidock.cli import options, pulling, streams
    from minidock.core.reference import DEFAULT_TAG, Reference
    from minidock.engine import pull as engine
    from minidock.engine import workspace
    from minidock.engine.registries import open_registries
    from minidock.errors import MinidockError
    from minidock.render.transfers import transfers

    if not disable_content_trust:
        streams.warn("--disable-content-trust has no effect: images are not signed")
    reference = Reference.parse(name)
    has_tag = name.removesuffix(f":{DEFAULT_TAG}") != name or reference.tag not in (None, DEFAULT_TAG)
    if all_tags and (has_tag or reference.digest):
        raise MinidockError("tag can't be used with --all-tags/-a")
    wanted = pulling.platform_of(platform)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    with (
        closing(open_registries(os.environ, streams.warn)) as registries,
        transfers(sys.stdout, is_quiet=quiet) as observer,
    ):
        if all_tags:
            engine.pull_all(ws, registries, reference, observer, platform=wanted)
        else:
            if not quiet and not has_tag and not reference.digest:
                print(f"Using default tag: {DEFAULT_TAG}")
            engine.pull(ws, registries, reference, observer, platform=wanted)
    print(reference.name if all_tags else reference.without_digest_tag())
