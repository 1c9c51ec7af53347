"""Limits of a container, before it is made: do they make sense, and can they be kept here?"""

from __future__ import annotations

import os
from collections.abc import Callable

from minidock.core.limit_rules import check as check_rules
from minidock.core.resources import Resources
from minidock.engine.workspace import Workspace
from minidock.errors import RuntimeProblem

_NOTHING = Resources()


def check(ws: Workspace, resources: Resources, warn: Callable[[str], None], *, is_update: bool = False) -> None:
    """Warn, once, of what cannot be kept as it was asked for; fail instead if the limits are strict.

    Raises: InvalidRequest in docker's words, RuntimeProblem.
    """
    if resources == _NOTHING:
        return
    check_rules(
        resources,
        processors=os.cpu_count() or 1,
        cpus=_listed("cpu"),
        nodes=_listed("node"),
        is_update=is_update,
    )
    phrases = (
        *ws.runtime.shortcomings(resources),
        *(f"{option} has no effect" for option in resources.without_effect),
    )
    if phrases and resources.is_strict:
        raise RuntimeProblem(
            f"not every limit can be kept here: {'; '.join(phrases)}",
            hint="without --strict-limits this is a warning",
        )
    if phrases:
        warn(f"not every limit is kept as it was asked for: {'; '.join(phrases)}")
    if resources.is_oom_kill_disabled and not resources.memory:
        warn(
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )


def _listed(kind: str) -> str:
    """Return the processors or memory nodes that are online, as a list such as ``0-3``; empty if nobody tells."""
    try:
        with open(f"/sys/devices/system/{kind}/online", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
