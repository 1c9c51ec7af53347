"""The stages of one build: each from its base on, instruction by instruction."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from minidock.core.dockerfile import stage_plan
from minidock.core.dockerfile.model import Add, Copy, Instruction, Run, Workdir
from minidock.core.dockerfile.transfer import context_words
from minidock.engine.ahead import Ahead
from minidock.engine.cache_import import Importing
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.preparing import BuildRequest, Setup
from minidock.engine.side_by_side import Cancellation, Stages
from minidock.engine.stage import StageBuilder
from minidock.engine.stage_inputs import StageInputs
from minidock.engine.stage_state import BuildContext, StageState
from minidock.errors import BuildError

_EPOCH = "SOURCE_DATE_EPOCH"
_LAYERED = (Run, Copy, Add, Workdir)


class StageBuilds:
    """The stages of one build and what they share; stages that do not need each other are built side by side."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._plan = setup.course.plan
        cancellation = Cancellation()
        self._stages: Stages[StageState] = Stages(self._stage, cancellation)
        self.inputs = StageInputs(setup, self._stages.state)
        self.shared = _shared(setup, self.inputs, cancellation)

    def run(self, most_threads: int | None = None) -> StageState:
        """Build the stages; return what the target has become. Raises: what the first one that fails raises."""
        course = self._setup.course
        self._stages.run(course.wanted, most_threads)
        return self._stages.state(course.target)

    def _stage(self, index: int) -> StageState:
        """Build one stage, waiting for those that it needs."""
        stage = self._plan.stages[index]
        steps, shown = self._begun(index)
        builder = StageBuilder(self.shared_of(stage), steps)
        if steps.state.image_id is not None:
            steps.base(shown)
        elif isinstance(stage.base, str) and self.inputs.named_source(stage.base) is not None:
            self._apply(builder, steps, _whole_context(stage, stage.base))
        for position, instruction in enumerate(stage.instructions):
            steps.has_run_to_come = any(isinstance(item, Run) for item in stage.instructions[position:])
            self._apply(builder, steps, instruction)
        request = self._setup.request
        if index == self._setup.course.target and request.labels:
            builder.labels(request.labels)
        return builder.state

    def _begun(self, index: int) -> tuple[CachedSteps, str]:
        """Return the steps of a stage at its base, and what its FROM is shown as."""
        stage = self._plan.stages[index]
        state, shown = self.inputs.base(stage)
        state = replace(state, image=replace(state.image, config=replace(state.image.config, on_build=())))
        return CachedSteps(self.shared_of(stage), state, *self.names_of(index)), shown

    def _apply(self, builder: StageBuilder, steps: CachedSteps, instruction: Instruction) -> None:
        builder.apply(instruction)

    def names_of(self, index: int) -> tuple[str, str, int]:
        """Return what the steps of a stage are known by: its name, its label in the progress, how many they are."""
        stage = self._plan.stages[index]
        total = sum(isinstance(item, _LAYERED) for item in stage.instructions) + (not stage.is_scratch)
        request, label = self._setup.request, self._plan.display_name(index)
        if request.platforms:
            label = f"{request.platform} {label}".rstrip()
        return stage.name or f"stage-{index}", label, total

    def shared_of(self, stage: stage_plan.Stage) -> BuildContext:
        """Return what a stage works on; one that --no-cache-filter names does without the cache."""
        if stage.name in self._setup.request.no_cache_stages and self.shared.uses_cache:
            return replace(self.shared, uses_cache=False, no_cache_option="--no-cache-filter")
        return self.shared


def _shared(setup: Setup, inputs: StageInputs, cancellation: Cancellation) -> BuildContext:
    request, definition, ws = setup.request, setup.prepared.definition, setup.ws
    epoch = _epoch(request, setup.course.plan)
    last = ws.store.builds.get(setup.scope)
    ahead = Ahead(ws, setup.session, cancellation.check)
    setup.stack.callback(ahead.close)
    importing = Importing(ws, request.environment or {}, setup.progress, setup.stack, cancellation.check)
    return BuildContext(
        ws=ws,
        session=setup.session,
        progress=setup.progress,
        build_args=request.build_args,
        global_args=setup.course.plan.global_args,
        escape=definition.dockerfile.escape,
        filename=definition.dockerfile.filename,
        source=definition.dockerfile.source,
        step_scope=definition.scope,
        started_at=ws.clock.now() if epoch is None else datetime.fromtimestamp(epoch, UTC),
        source_date_epoch=epoch,
        uses_cache=request.uses_cache,
        open_context=inputs.open_context,
        open_from=inputs.open_from,
        copied_from=inputs.copied_from,
        cancellation=cancellation,
        ahead=ahead,
        layers_of=inputs.layers_of,
        resources=request.resources,
        secrets=request.secrets,
        network=request.network,
        hosts=request.hosts,
        known_steps=frozenset(() if last is None else (step.id for step in last.steps)),
        known_names=frozenset(() if last is None else (step.name for step in last.steps)),
        requires_cached=request.requires_cached,
        context_words=context_words(setup.course.plan, setup.course.wanted)
        if setup.prepared.opened.files.is_local
        else None,
        imported=importing.caches(request.cache_from if request.uses_cache else ()),
    )


def _epoch(request: BuildRequest, plan: stage_plan.StagePlan) -> int | None:
    """Return SOURCE_DATE_EPOCH: the build argument, else the caller's variable, else a global ARG."""
    text = request.build_args.get(_EPOCH)
    if text is None and request.source_date_epoch is not None:
        return request.source_date_epoch
    text = plan.global_args.get(_EPOCH, "") if text is None else text
    if text and not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BuildError(f"invalid SOURCE_DATE_EPOCH: {text}", hint="it is a number of seconds since 1970")
    return int(text) if text else None


def _whole_context(stage: stage_plan.Stage, name: str) -> Copy:
    """Return the instruction that a FROM of a named context of files stands for."""
    return Copy(
        (".",), "/", from_=name, original=f"COPY --from={name} . /", first=stage.from_line, last=stage.from_line
    )
