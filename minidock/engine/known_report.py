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


def recall(ws: Workspace) -> RuntimeReport | None:
    """Return what was found in the same circumstances, the runtime being told of it; None if that is not known."""
    circumstances = ws.runtime.circumstances(ws.store.layout.root)
    if not circumstances:
        return None
    try:
        with open(ws.store.layout.path(_NAME), "rb") as file:
            members = json.load(file)
        if members["circumstances"] != circumstances:
            return None
        report = RuntimeReport(Isolation.NAMESPACES, IdMode(members["id_mode"]), has_overlay=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is tried again, and this written anew
    ws.runtime.assume(report)
    return report


def remember(ws: Workspace, session: Session, report: RuntimeReport) -> None:
    """Keep a report of which nothing is missing."""
    circumstances = ws.runtime.circumstances(ws.store.layout.root)
    if circumstances and report.is_complete:
        members = {"circumstances": circumstances, "id_mode": report.id_mode.value}
        session.replace(ws.store.layout.path(_NAME), dumps(members), is_durable=False)


def forget(ws: Workspace) -> None:
    """Let the runtime be tried again the next time: it could not start a process."""
    if ws.store.exists:
        with ws.store.session() as session:
            session.discard(ws.store.layout.path(_NAME))
