"""`minidock start`, `minidock container start`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.errors import MinidockError


def start(
    containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")],
    attach: Annotated[bool, typer.Option("--attach", "-a", help="Attach STDOUT/STDERR and forward signals")] = False,
    detach_keys: Annotated[
        str, typer.Option("--detach-keys", help="Override the key sequence for detaching a container")
    ] = "",
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Attach container's STDIN")] = False,
) -> int:
    """Start one or more stopped containers."""
    from minidock.cli import options, streams
    from minidock.cli.each import tell
    from minidock.engine import start as engine
    from minidock.engine import workspace

    keys = streams.detach_keys(detach_keys)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)
    if attach or interactive:
        if len(containers) > 1:
            raise MinidockError("you cannot start and attach multiple containers at once")
        record = ws.store.containers.find(containers[0]).record
        attached = ("stdin", "stdout", "stderr") if interactive and record.has_stdin else ("stdout", "stderr")
        if not streams.are_fit(is_interactive="stdin" in attached, has_terminal=record.has_terminal):
            return 1
        attachment = streams.attachment(attached, keys, proxies_signals=not record.has_terminal)
        return engine.start(ws, record.id, attachment) or 0
    errors: list[MinidockError] = []
    failed = []
    for name in containers:
        try:
            engine.start(ws, name)
        except MinidockError as error:
            errors.append(error)
            failed.append(name)
        else:
            print(name, flush=True)
    if failed:
        errors.append(MinidockError(f"failed to start containers: {', '.join(failed)}"))
    return tell(errors)
