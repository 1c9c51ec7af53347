"""`minidock attach`, `minidock container attach`."""

from __future__ import annotations

from typing import Annotated

import typer


def attach(
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    detach_keys: Annotated[
        str, typer.Option("--detach-keys", help="Override the key sequence for detaching a container")
    ] = "",
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Do not attach STDIN")] = False,
    sig_proxy: Annotated[bool, typer.Option("--sig-proxy", help="Proxy all received signals to the process")] = True,
) -> int:
    """Attach local standard input, output, and error streams to a running container."""
    from minidock.cli import options, streams
    from minidock.engine import supervise, workspace

    keys = streams.detach_keys(detach_keys)
    ws = workspace.open_workspace(options.store_root())
    record = ws.store.containers.find(container).record
    has_input = record.has_stdin and not no_stdin
    if not streams.are_fit(is_interactive=has_input, has_terminal=record.has_terminal):
        return 1
    attached = ("stdin", "stdout", "stderr") if has_input else ("stdout", "stderr")
    proxies = sig_proxy and not record.has_terminal
    return streams.told(supervise.attach(ws, record.id, streams.attachment(attached, keys, proxies_signals=proxies)))
