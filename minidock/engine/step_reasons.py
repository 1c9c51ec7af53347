"""Why the steps of one stage are rebuilt: what was asked for, what is gone, what has changed since a step ran last."""

from __future__ import annotations

from minidock.core.cache_key import RecordedInputs, StepInputs
from minidock.core.file_reasons import explain_files
from minidock.core.reason import Reason
from minidock.core.reasons import explain, explain_own, explain_place, has_changed
from minidock.engine.progress import Step
from minidock.engine.stage_state import BuildContext


class StepReasons:
    """The reasons of a stage's steps, asked for in their order: what is told of one is not repeated at the next.

    Of a step ``layer_id`` is its place in the Dockerfile, and ``parent`` why it runs whatever its own inputs are, None
    if those decide.
    """

    def __init__(self, build: BuildContext) -> None:
        self._build = build
        self._cache = build.ws.store.cache
        self._told: set[Reason] = set()

    def of(self, step: Step, layer_id: str, inputs: StepInputs, parent: Reason | None) -> tuple[Reason, ...]:
        """Return why a step runs that has these inputs now."""
        if not self._build.uses_cache:
            return (Reason(self._build.no_cache_option),)
        before, now = self._cache.last_inputs(layer_id), inputs.recorded()
        if parent is not None:
            return (parent, *(() if before is None else self._own(step, before, now)))
        if self._cache.get(inputs.key()) is not None:
            return (Reason("the layer that it made is gone from the store"),)
        if before is None:
            return (self._first(layer_id),)
        place = explain_place(step.name, self._build.known_names, before, now)
        return self._noted(explain(before, now)) if place is None else (place,)

    def of_unknown(self, layer_id: str, parent: Reason | None, unknown: Reason) -> Reason:
        """Return why a step runs of whose inputs some are not known, for the reason ``unknown``."""
        if not self._build.uses_cache:
            return Reason(self._build.no_cache_option)
        if parent is not None:
            return parent
        if not self._build.imported and self._cache.last_inputs(layer_id) is None:
            return self._first(layer_id)  # whatever it takes in
        return unknown

    def _own(self, step: Step, before: RecordedInputs, now: RecordedInputs) -> tuple[Reason, ...]:
        """Return what of a step itself has changed that follows a rebuilt one."""
        is_other = before.instruction != now.instruction
        if is_other and not has_changed(step.name, self._build.known_names):
            return ()
        # A variable, say, is in force at every step from there on, and is told at the first; files are a step's own.
        known = self._told - {*explain_files(before, now)}
        return tuple(reason for reason in self._noted(explain_own(before, now)) if reason not in known)

    def _noted(self, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        self._told.update(reasons)
        return reasons

    def _first(self, layer_id: str) -> Reason:
        """Return why a step runs of which no record tells."""
        if layer_id in self._build.known_steps:
            return Reason("built here before, but what the build cache knew of it is gone")
        return Reason("never built here before")
