"""`build --plan`: what a build would find in the cache, and what it would run and why. Nothing runs, nothing is kept.

The same path as a build, with steps that are looked up only and a session that leaves the store alone. What a stage
that would be rebuilt gives to others is not known: a step that takes files from it is told as one that runs.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from minidock.core.build_plan import BuildPlan
from minidock.core.build_record import StepFate
from minidock.core.config import HistoryEntry
from minidock.core.context_size import ContextSize, size_of
from minidock.core.digest import Digest
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.model import Instruction
from minidock.core.events import Event, Observer
from minidock.core.platform import Platform
from minidock.engine.build_stages import StageBuilds
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.planned_steps import PlannedSteps
from minidock.engine.preparing import BuildRequest, Prepared, Sessions, Setup, by_platform, course_of, prepare
from minidock.engine.progress import Progress
from minidock.engine.stage import StageBuilder
from minidock.engine.stage_state import NotKnownYet, StageState, scratch
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError
from minidock.store.dry_session import dry_session


def _ignore(event: Event) -> None:
    """Show nothing."""


def plan(ws: Workspace, request: BuildRequest, observer: Observer = _ignore) -> BuildPlan:
    """Return what a build would do. Raises: DockerfileError, BuildError for what no step of it could get over."""
    progress = Progress(observer)
    request = replace(request, environment=None)  # what is pulled is written
    with ExitStack() as stack:
        sessions = Sessions(partial(dry_session, ws.store.disk), stack)
        prepared = prepare(ws, request, progress, sessions)
        fates: list[StepFate] = []
        for part, own in by_platform(request, prepared):
            course = course_of(ws, part, own, observer)
            session = sessions.get()
            with ExitStack() as sources:
                stages = _PlannedStages(Setup(ws, session, sources, part, progress, own, course, is_plan=True))
                stages.run(most_threads=1)  # in the order of the file
            fates += stages.shared.fates
        return BuildPlan(_size(prepared), tuple(fates))


def _size(prepared: Prepared) -> ContextSize | None:
    try:
        return size_of(prepared.opened.files.entries(prepared.definition.ignore or IgnoreRules()))
    except BuildError:  # somewhere that no step takes anything from, else that step would have failed
        return None


def _unknown_base(name: str, platform: Platform) -> StageState:
    """Return where a stage begins whose base is not there: one layer that is not there stands for all of it."""
    image = scratch(platform.architecture)
    layer = Digest.sha256(f"the layers of {name}".encode())
    image = image.with_step(HistoryEntry(None, name), layer, image.config)
    return StageState(image, Digest.sha256(image.to_bytes()), first_rebuilt=f"FROM {name}")


class _PlannedStages(StageBuilds):
    """The stages of a build as they would be found."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._planned: set[Digest] = set()

    def _begun(self, index: int) -> tuple[CachedSteps, str]:
        stage = self._plan.stages[index]
        missing = None
        try:
            state, shown = self.inputs.base(stage)
        except NotKnownYet as error:
            state = _unknown_base(str(stage.base), self.inputs.platform_of(stage))
            shown, missing = str(stage.base), error.reason
        state = replace(state, image=replace(state.image, config=replace(state.image.config, on_build=())))
        return PlannedSteps(self.shared_of(stage), state, self.names_of(index), self._planned, missing), shown

    def _apply(self, builder: StageBuilder, steps: CachedSteps, instruction: Instruction) -> None:
        try:
            builder.apply(instruction)
        except NotKnownYet as error:
            assert isinstance(steps, PlannedSteps)
            steps.unknown(instruction, error.reason)
