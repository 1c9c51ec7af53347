"""What a build would do: which steps come from the cache, which run and why, and how large the context is."""

from __future__ import annotations

from typing import Any

from minidock.core.build_record import MISSING, StepFate
from minidock.core.context_size import ContextSize
from minidock.core.dataclass import dataclass

VERSION = 1


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The steps of a build by number, and its context after its ignore rules. Bases are told of if they are missing.

    ``context`` is None if not all of it may be read, which a build does not need to.
    """

    context: ContextSize | None
    steps: tuple[StepFate, ...]

    @property
    def cached(self) -> int:
        """How many steps come from the cache."""
        return sum(step.is_cached for step in self.steps)

    @property
    def missing(self) -> int:
        """How many bases are not there."""
        return sum(step.outcome == MISSING for step in self.steps)

    @property
    def run(self) -> int:
        """How many steps would run."""
        return len(self.steps) - self.cached - self.missing

    @property
    def is_cached(self) -> bool:
        """Whether nothing would run, and nothing is missing."""
        return self.cached == len(self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return the document that is shown; its steps are like those of a build's record."""
        return {
            "version": VERSION,
            "context": self.context and self.context.to_json(),
            "cached": self.cached,
            "run": self.run,
            "missing": self.missing,
            "steps": [step.to_json() for step in self.steps],
        }
