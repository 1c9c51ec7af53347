"""Who owns the files of containers, seen from the host."""

from __future__ import annotations

from enum import StrEnum


class IdMode(StrEnum):
    """Who the owners of files in a container are on the host; a store belongs to one mode."""

    ROOT = "root"  # owners are what they seem
    SINGLE = "single"  # one user namespace id: every file belongs to the user who runs minidock
