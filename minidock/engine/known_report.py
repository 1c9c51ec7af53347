"""What probing the runtime has found for a store, kept until the circumstances change: a trial costs a process.

Only a report of which nothing is missing is kept: what would help takes effect at once.
"""

from __future__ import annotations

import json

from minidock.core.canonical import dumps
from minidock.core.id_mode import IdMode
from minidock.engine.workspace import Workspace
from minidock.runtime.base import Isolation, RuntimeReport
from minidock.store.session import Session

_NAME = "probe.json"
_MOST = 8  # runtimes and circumstances that are remembered side by side


def recall(ws: Workspace) -> RuntimeReport | None:
    """Return what was found in the same circumstances, the runtime being told of it; None if that is not known."""
    circumstances = ws.runtime.circumstances(ws.store.layout.root)
    id_mode = _read(ws).get(circumstances) if circumstances else None
    if id_mode is None:
        return None
    report = RuntimeReport(Isolation.NAMESPACES, id_mode, has_overlay=True)
    ws.runtime.assume(report)
    return report


def _read(ws: Workspace) -> dict[str, IdMode]:
    """Return the id modes of complete reports by their circumstances, the oldest first."""
    try:
        with open(ws.store.layout.path(_NAME), "rb") as file:
            return {circumstances: IdMode(id_mode) for circumstances, id_mode in json.load(file)["complete"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # it is tried again, and this written anew


def remember(ws: Workspace, session: Session, report: RuntimeReport) -> None:
    """Keep a report of which nothing is missing."""
    circumstances = ws.runtime.circumstances(ws.store.layout.root)
    if not circumstances or not report.is_complete:
        return
    known = _read(ws)
    known.pop(circumstances, None)
    known[circumstances] = report.id_mode
    members = {"complete": [[name, id_mode.value] for name, id_mode in known.items()][-_MOST:]}
    session.replace(ws.store.layout.path(_NAME), dumps(members), is_durable=False)


def forget(ws: Workspace) -> None:
    """Let the runtime be tried again the next time: it could not start a process."""
    if ws.store.exists:
        with ws.store.session() as session:
            session.discard(ws.store.layout.path(_NAME))
