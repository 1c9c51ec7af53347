"""Whether a container works: what is run to find out, how often, and what its results say.

Source: docker's documentation of HEALTHCHECK; moby, daemon/health.go, as seen from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.times import format_time, parse_time

NANOSECONDS = 1_000_000_000
MOST_OUTPUT = 4096
TIMED_OUT = -1
_MOST_RESULTS = 5
_INTERVAL, _TIMEOUT, _START_INTERVAL = 30 * NANOSECONDS, 30 * NANOSECONDS, 5 * NANOSECONDS
_RETRIES = 3
_DEFAULT_SHELL = ("/bin/sh", "-c")
_NONE = "NONE"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A check as an image or the user asks for it.

    ``test`` is empty (nothing said), ``NONE``, ``CMD`` and a command, or ``CMD-SHELL`` and a text for the shell. Times
    are nanoseconds; they and ``retries`` are 0 where nothing is said.
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    @property
    def is_active(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.test) and self.test[0] != _NONE

    @property
    def patience(self) -> int:
        """How long one check may run, in nanoseconds."""
        return self.timeout or _TIMEOUT

    def pause(self, *, is_starting: bool) -> int:
        """Return the nanoseconds between two checks; in the start period there may be fewer."""
        return (self.start_interval or _START_INTERVAL) if is_starting else (self.interval or _INTERVAL)

    def command(self, shell: Sequence[str] | None) -> tuple[str, ...]:
        """Return the arguments of the process to run; ``shell`` is the image's for ``CMD-SHELL``."""
        kind, *words = self.test
        return (*(shell or _DEFAULT_SHELL), " ".join(words)) if kind == "CMD-SHELL" else tuple(words)

    def over(self, image: HealthCheck) -> HealthCheck:
        """Return this check with what it does not say taken from the image's."""
        if self.test[:1] == (_NONE,):
            return self
        return HealthCheck(
            self.test or image.test,
            self.interval or image.interval,
            self.timeout or image.timeout,
            self.start_period or image.start_period,
            self.start_interval or image.start_interval,
            self.retries or image.retries,
        )

    def to_json(self) -> dict[str, Any]:
        """Return docker's members (``Healthcheck`` of a config), without those that say nothing."""
        members = {
            "Test": list(self.test),
            "Interval": self.interval,
            "Timeout": self.timeout,
            "StartPeriod": self.start_period,
            "StartInterval": self.start_interval,
            "Retries": self.retries,
        }
        return {name: value for name, value in members.items() if value}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> HealthCheck:
        """Return what docker's members say. Raises: TypeError, ValueError."""
        names = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
        return cls(tuple(members.get("Test") or ()), *(int(members.get(name) or 0) for name in names))


class HealthStatus(StrEnum):
    """What the checks say of a container."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class HealthResult:
    """What one check found; ``exit_code`` is `TIMED_OUT` if it had to be killed."""

    start: datetime
    end: datetime
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class Health:
    """What is known about a container's health; ``log`` are the last results, oldest first."""

    status: HealthStatus = HealthStatus.STARTING
    failing_streak: int = 0
    log: tuple[HealthResult, ...] = ()

    def after(self, result: HealthResult, check: HealthCheck, started_at: datetime) -> Health:
        """Return what is known after one more check of a container that was started at ``started_at``."""
        known = replace(self, log=(*self.log, result)[-_MOST_RESULTS:])
        if result.exit_code == 0:
            return replace(known, status=HealthStatus.HEALTHY, failing_streak=0)
        is_new = is_in_start_period(check, (result.start - started_at).total_seconds())
        if self.status is HealthStatus.STARTING and is_new:
            return known
        streak = self.failing_streak + 1
        is_too_many = streak >= (check.retries or _RETRIES)
        return replace(known, status=HealthStatus.UNHEALTHY if is_too_many else self.status, failing_streak=streak)

    def to_json(self) -> dict[str, Any]:
        """Return docker's members (``State.Health`` of `inspect`)."""
        log = [
            {
                "Start": format_time(result.start),
                "End": format_time(result.end),
                "ExitCode": result.exit_code,
                "Output": result.output,
            }
            for result in self.log
        ]
        return {"Status": self.status.value, "FailingStreak": self.failing_streak, "Log": log}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Health:
        """Return what `to_json` has written. Raises: KeyError, TypeError, ValueError, StoreError."""
        log = tuple(
            HealthResult(parse_time(item["Start"]), parse_time(item["End"]), int(item["ExitCode"]), item["Output"])
            for item in members["Log"]
        )
        return cls(HealthStatus(members["Status"]), int(members["FailingStreak"]), log)


def is_in_start_period(check: HealthCheck, age: float) -> bool:
    """Whether a container that was started ``age`` seconds ago may still fail."""
    return age * NANOSECONDS < check.start_period
