"""Which ids this process has, told by its user namespace: nothing is handed down to a program that is started later."""

from __future__ import annotations

import os

from minidock.core.id_map import IdMap
from minidock.core.id_mode import IdMode


def id_mode() -> IdMode:
    """Return the mode in which this process can work: a plain user has one id until a namespace is entered."""
    if os.geteuid() != 0:
        return IdMode.SINGLE
    mapped = _map("uid")
    if mapped is None or mapped.is_everything:
        return IdMode.ROOT
    return IdMode.SINGLE if mapped.count == 1 else IdMode.RANGE


def outside_uid() -> int:
    """Return the uid that this process has outside of its user namespace."""
    uid, mapped = os.geteuid(), _map("uid")
    return mapped.ranges[0].start if uid == 0 and mapped is not None and mapped.ranges else uid


def id_maps() -> str:
    """Return the maps of uids and gids of this process as one line."""
    return f"{_map('uid') or ''};{_map('gid') or ''}"


def _map(kind: str) -> IdMap | None:
    """Return a map of this process; None for one that begins with another id or has gaps."""
    try:
        with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
            return IdMap.parse(file.read())
    except (OSError, ValueError):
        return None


def single_id() -> tuple[int, int] | None:
    """Return the ids that 0 and 0 of a container's own user namespace stand for, None if it is to have none."""
    return (os.geteuid(), os.getegid()) if id_mode() is IdMode.SINGLE else None
