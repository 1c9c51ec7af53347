"""What happens to a container when it ends, hangs or is to be stopped, and who is connected to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.health import HealthCheck
from minidock.errors import InvalidRequest

STOP_SECONDS = 10
ALL_STREAMS = ("stdin", "stdout", "stderr")

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


class RestartMode(StrEnum):
    """When a container is started again by its monitor."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Whether a container that has ended is started again; ``most`` (0: no bound) counts for ON_FAILURE only."""

    mode: RestartMode = RestartMode.NO
    most: int = 0

    @classmethod
    def parse(cls, text: str) -> RestartPolicy:
        """Return the policy of ``MODE[:MOST]``. Raises: InvalidRequest in docker's words."""
        if not text:
            return cls()
        name, colon, number = text.partition(":")
        if colon and not name:
            raise InvalidRequest("invalid restart policy format: no policy provided before colon")
        if colon and not _NUMBER.fullmatch(number):
            raise InvalidRequest("invalid restart policy format: maximum retry count must be an integer")
        most = int(number) if colon else 0
        if name not in tuple(RestartMode):
            raise InvalidRequest(
                f"invalid restart policy: unknown policy '{name}'; "
                "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            )
        mode = RestartMode(name)
        if most and mode is not RestartMode.ON_FAILURE:
            too = " and cannot be negative" if most < 0 else ""
            raise InvalidRequest(f"invalid restart policy: maximum retry count can only be used with 'on-failure'{too}")
        if most < 0:
            raise InvalidRequest("invalid restart policy: maximum retry count cannot be negative")
        return cls(mode, most)

    @property
    def is_active(self) -> bool:
        """Whether a container may be started again at all."""
        return self.mode is not RestartMode.NO


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """What a container's monitor does for it.

    ``stop_seconds`` -1 means that SIGKILL never follows the stop signal; None that nobody said anything. ``attached``
    are the streams that a caller in the foreground is connected with; ``health`` is what is really run, the image's
    check included. ``is_made_only`` containers come from `create`: before their first start they are not waited for.
    """

    restart: RestartPolicy = field(default_factory=RestartPolicy)
    stop_seconds: int | None = None
    has_init: bool = False
    attached: tuple[str, ...] = ()
    health: HealthCheck = field(default_factory=HealthCheck)
    health_shell: tuple[str, ...] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_driver: str = ""
    cid_file: str = ""
    is_made_only: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "restart": self.restart.mode.value,
            "most_restarts": self.restart.most,
            "stop_seconds": self.stop_seconds,
            "init": self.has_init,
            "attached": list(self.attached),
            "health": self.health.to_json(),
            "health_shell": None if self.health_shell is None else list(self.health_shell),
            "annotations": dict(self.annotations),
            "log_driver": self.log_driver,
            "cid_file": self.cid_file,
            "made_only": self.is_made_only,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> LifeCycle:
        """Return what `to_json` has written. Raises: KeyError, TypeError, ValueError."""
        shell = members["health_shell"]
        return cls(
            restart=RestartPolicy(RestartMode(members["restart"]), members["most_restarts"]),
            stop_seconds=members["stop_seconds"],
            has_init=members["init"],
            attached=tuple(members["attached"]),
            health=HealthCheck.from_json(members["health"]),
            health_shell=None if shell is None else tuple(shell),
            annotations=members["annotations"],
            log_driver=members["log_driver"],
            cid_file=members["cid_file"],
            is_made_only=members["made_only"],
        )
