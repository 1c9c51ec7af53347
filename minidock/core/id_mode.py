"""Who owns the files of containers, seen from the host."""

from __future__ import annotations

from enum import StrEnum


class IdMode(StrEnum):
    """Who the owners of files in a container are on the host; a store belongs to one mode."""

    ROOT = "root"  # owners are what they seem
    RANGE = "range"  # a user namespace: root is the user who runs minidock, the others are ids subordinate to them
    SINGLE = "single"  # one user namespace id: every file belongs to the user who runs minidock

    @property
    def has_real_owners(self) -> bool:
        """Whether the disk tells owners apart, so that nothing has to be recorded about them."""
        return self is not IdMode.SINGLE

    @property
    def is_user_namespace(self) -> bool:
        """Whether containers are in a user namespace: overlayfs keeps its marks in attributes of users then."""
        return self is not IdMode.ROOT
