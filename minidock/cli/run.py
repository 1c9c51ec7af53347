"""`minidock run`, `minidock container run`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.core.container import VolumeOption


def run(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    args: Annotated[list[str], typer.Argument(metavar="[COMMAND] [ARG...]")] = [],  # noqa: B006  # never changed
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run container in background and print container ID")
    ] = False,
    entrypoint: Annotated[
        str | None, typer.Option("--entrypoint", help="Overwrite the default ENTRYPOINT of the image")
    ] = None,
    env: Annotated[tuple[str, ...], typer.Option("--env", "-e", metavar="list", help="Set environment variables")] = (),
    hostname: Annotated[str, typer.Option("--hostname", "-h", help="Container host name")] = "",
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Keep STDIN open even if not attached")
    ] = False,
    labels: Annotated[
        tuple[str, ...], typer.Option("--label", "-l", metavar="list", help="Set meta data on a container")
    ] = (),
    name: Annotated[str, typer.Option("--name", help="Assign a name to the container")] = "",
    network: Annotated[
        str, typer.Option("--network", metavar="network", help="Connect a container to a network (host, none)")
    ] = "",
    rm: Annotated[
        bool,
        typer.Option(
            "--rm", help="Automatically remove the container and its associated anonymous volumes when it exits"
        ),
    ] = False,
    stop_signal: Annotated[str, typer.Option("--stop-signal", help="Signal to stop the container")] = "",
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Allocate a pseudo-TTY")] = False,
    user: Annotated[str, typer.Option("--user", "-u", help="Username or UID (format: <name|uid>[:<group|gid>])")] = "",
    volumes: Annotated[
        tuple[str, ...], typer.Option("--volume", "-v", metavar="list", help="Bind mount a volume")
    ] = (),
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="Working directory inside the container")] = "",
) -> int:
    """Create and run a new container from an image."""
    import os

    from minidock.cli import options, streams
    from minidock.engine import workspace
    from minidock.engine.run import RunRequest, create
    from minidock.engine.supervise import run_attached, run_detached

    if not detach and not streams.are_fit(is_interactive=interactive, has_terminal=tty):
        return 1
    request = RunRequest(
        image=image,
        args=tuple(args),
        entrypoint=entrypoint,
        name=name,
        env=env,
        environment=os.environ,
        cwd=workdir,
        user=user,
        volumes=tuple(_volume(text) for text in volumes),
        network=network,
        hostname=hostname,
        labels=options.labels(labels),
        stop_signal=stop_signal,
        auto_remove=rm,
        is_detached=detach,
        has_terminal=tty,
        has_stdin=interactive,
    )
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    created = create(ws, request, streams.warn)
    if not detach:
        return run_attached(ws, created, streams.standard(has_stdin=interactive))
    try:
        run_detached(ws, created)
    finally:
        print(created.record.id, flush=True)
    return 0


def _volume(text: str) -> VolumeOption:
    """Return the value of ``-v``; a source that begins with a dot is a path from here. Raises: InvalidRequest."""
    import os

    source, colon, rest = text.partition(":")
    if colon and source.startswith("."):
        source = os.path.abspath(source)
    return VolumeOption.parse(f"{source}{colon}{rest}")
