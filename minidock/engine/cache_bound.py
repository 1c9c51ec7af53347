"""Keeps the build cache within a bound by itself, after builds.

The bound is for what can be made again: unpacked layers that no container uses, and what only the build cache keeps.
Above it unpacked layers go first, the oldest ones, then the steps that were used longest ago; nothing that a listed
image consists of. To measure takes a walk over the files: it is done once an hour at most.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from minidock.core.times import format_time, parse_time
from minidock.engine.cache_choice import CacheLimits
from minidock.engine.prune import prune_cache
from minidock.engine.workspace import Workspace

_LEAST = 2 << 30
_SHARE = 10
_PAUSE = timedelta(hours=1)


def usual_bound(ws: Workspace) -> int:
    """Return a tenth of the file system that the store is on, but 2 GiB at least."""
    status = os.statvfs(ws.store.layout.root)
    return max(_LEAST, status.f_blocks * status.f_frsize // _SHARE)


def keep_bound(ws: Workspace, bound: int | None = None) -> int:
    """Bring the build cache down to ``bound`` bytes, the usual ones if that is None; return what came back.

    Zero means no bound. Nothing is looked at within an hour after the last look.
    """
    if bound == 0 or not ws.store.exists or not _is_due(ws):
        return 0
    size = prune_cache(ws, is_all=False, limits=CacheLimits(kept_size=bound or usual_bound(ws))).size
    with ws.store.session(is_removal=True) as session:
        session.replace(_stamp(ws), format_time(ws.clock.now()).encode(), is_durable=False)
    return size


def _stamp(ws: Workspace) -> str:
    return ws.store.layout.path("cache", "bounded")


def _is_due(ws: Workspace) -> bool:
    now = ws.clock.now()
    try:
        with open(_stamp(ws), encoding="ascii") as file:
            last: datetime = parse_time(file.read())
    except (OSError, ValueError):
        return True
    return not timedelta() <= now - last < _PAUSE  # a clock that was put back must not stop it for long
