"""What happens to a container when it ends, hangs or is to be stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

STOP_SECONDS = 10


class RestartMode(StrEnum):
    """When a container is started again by its monitor."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """What a container's monitor does for it.

    ``most_restarts`` (0: no bound) counts for `RestartMode.ON_FAILURE` only; ``stop_seconds`` -1 means that SIGKILL
    never follows the stop signal.
    """

    restart: RestartMode = RestartMode.NO
    most_restarts: int = 0
    stop_seconds: int = STOP_SECONDS
    has_init: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "restart": self.restart.value,
            "most_restarts": self.most_restarts,
            "stop_seconds": self.stop_seconds,
            "init": self.has_init,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> LifeCycle:
        """Return what `to_json` has written. Raises: KeyError, TypeError, ValueError."""
        return cls(
            restart=RestartMode(members["restart"]),
            most_restarts=members["most_restarts"],
            stop_seconds=members["stop_seconds"],
            has_init=members["init"],
        )
