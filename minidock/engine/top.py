"""`top`: the processes of a container, as the host sees them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import tzinfo

from minidock.core.process_table import FULL, ProcessRow, full_listing, selected
from minidock.core.summary import ContainerState
from minidock.engine.containers import running, started_of
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidState, MinidockError
from minidock.runtime.process_rows import process_rows


def top(
    ws: Workspace, name: str, options: Sequence[str], zone: tzinfo | None = None
) -> tuple[list[str], list[list[str]]]:
    """Return the titles and the cells of a container's processes; ``options`` are those of `ps`.

    Without options nothing but /proc is needed. Raises: NoSuchContainer, ContainerNotRunning, InvalidState,
    MinidockError if there is no `ps`, or what it says of its options.
    """
    if ws.store.containers.find(name).state.status is ContainerState.RESTARTING:
        raise InvalidState(f"Container {name} is restarting, wait until the container is running")
    pids = ws.runtime.processes(started_of(running(ws, name)))
    if not options:
        rows: list[ProcessRow] = [row._replace(started=row.started.astimezone(zone)) for row in process_rows(pids)]
        return list(FULL), full_listing(rows, ws.clock.now().astimezone(zone))
    return selected(_ps(" ".join(options).split(), pids), pids)


def _ps(words: list[str], pids: Sequence[int]) -> str:
    """Return what `ps` prints of these processes or, since some options do not go with a list, of all."""
    ran = _run([*words, "-q", ",".join(map(str, pids))])
    if ran.returncode:
        ran = _run(words)
    if ran.returncode:
        line = ran.stderr.partition("\n")[0]
        raise MinidockError(line or f"ps: exit status {ran.returncode}")
    return ran.stdout


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["ps", *words], capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise MinidockError(
            "ps: executable file not found in $PATH", hint="without ps options `minidock top` does not need it"
        ) from error
