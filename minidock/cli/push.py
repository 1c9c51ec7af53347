"""`minidock push`, `minidock image push`."""

from __future__ import annotations

from typing import Annotated

import typer


def push(
    name: Annotated[str, typer.Argument(metavar="NAME[:TAG]")],
    all_tags: Annotated[
        bool, typer.Option("--all-tags", "-a", help="Push all tags of an image to the repository")
    ] = False,
    compression: Annotated[
        str, typer.Option("--compression", help="How layers made here are packed (gzip, zstd, uncompressed)")
    ] = "gzip",
    compression_level: Annotated[
        str, typer.Option("--compression-level", metavar="int", help="Level of the compression (default: a fast one)")
    ] = "",
    disable_content_trust: Annotated[
        bool, typer.Option("--disable-content-trust", hidden=True, help="Skip image signing (deprecated)")
    ] = True,
    force_compression: Annotated[
        bool, typer.Option("--force-compression", help="Pack layers of pulled bases anew too")
    ] = False,
    platform: Annotated[
        str, typer.Option("--platform", help="Push only if the image is for this platform (os[/arch[/variant]])")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Suppress verbose output")] = False,
) -> None:
    """Upload an image to a registry."""
    import sys

    from minidock.cli import options, pulling, streams
    from minidock.core.packing import Compression
    from minidock.core.reference import Reference
    from minidock.engine import push as engine
    from minidock.engine import workspace
    from minidock.errors import MinidockError

    pulling.check_trust(is_disabled=disable_content_trust)
    wanted = Compression.parse(compression, compression_level, is_forced=force_compression)
    only = pulling.platform_of(platform)
    if Reference.parse(name).digest:
        raise MinidockError("cannot push a digest reference")
    reference = pulling.named(name, all_tags=all_tags, is_quiet=quiet)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    with pulling.transferring(sys.stdout, is_quiet=quiet) as (registries, observer):
        act = engine.push_all if all_tags else engine.push
        act(ws, registries, reference, observer, compression=wanted, platform=only)
    if quiet:
        print(reference.name if all_tags else reference)
