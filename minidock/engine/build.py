"""Build an image: read the Dockerfile, build the stages that the target needs, publish the result under its names."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from minidock.core.config import ImageConfig
from minidock.core.digest import Digest
from minidock.core.dockerfile import stages
from minidock.core.dockerfile.checks.check import CHECKED
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.model import Add, Copy, Run, Workdir
from minidock.core.dockerfile.triggers import with_triggers
from minidock.core.events import BuildWarning, Observer
from minidock.core.reference import Reference
from minidock.core.resources import Resources
from minidock.engine import images, limits
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.context import Context
from minidock.engine.definition import Definition, read_definition
from minidock.engine.importer import architecture
from minidock.engine.progress import Progress
from minidock.engine.secrets import Secrets
from minidock.engine.side_by_side import Cancellation, Stages
from minidock.engine.sources import ContextSource, LayerSource, Source, layer_source
from minidock.engine.stage import StageBuilder
from minidock.engine.stage_state import BuildContext, StageState, scratch
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, DockerfileError, MinidockError, NoSuchImage
from minidock.store.session import Session
from minidock.store.statcache import StatCache

_EPOCH = "SOURCE_DATE_EPOCH"
_LAYERED = (Run, Copy, Add, Workdir)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build: the context directory, and the options of the command line.

    ``dockerfile`` is a path on the host, None for the context's own; ``tags`` are references as typed. ``network`` is
    that of RUN instructions which do not choose one; the stages named in ``no_cache_stages`` are rebuilt.
    """

    context: str
    dockerfile: str | None = None
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    uses_cache: bool = True
    source_date_epoch: int | None = None
    secrets: Secrets = field(default_factory=Secrets)
    network: str = ""
    no_cache_stages: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The image that a build gave."""

    image_id: Digest
    manifest: Digest


def build(ws: Workspace, request: BuildRequest, observer: Observer) -> BuildResult:
    """Build and name an image; a failed build moves no name.

    Raises: DockerfileError (with the lines to blame), StepFailed, BuildError, NoSuchImage.
    """
    names = tuple(dict.fromkeys(images.familiar(tag) for tag in request.tags))
    progress = Progress(observer)
    limits.check(ws, request.resources, progress.warn)
    definition = read_definition(request.context, request.dockerfile, progress)
    plan = definition.plan(request.build_args, request.target)
    target = stages.resolve_target(plan, request.target)
    fired = with_triggers(plan, lambda name: _triggers(ws, name))
    wanted = stages.needed(fired, target)
    _report(ws, request, definition, plan, wanted, observer)
    with ws.store.session() as session, ExitStack() as stack:
        builder = _Builder(ws, session, stack, request, progress, definition, fired)
        result = builder.build(wanted, target, names)
        builder.save()
    return result


def _report(
    ws: Workspace,
    request: BuildRequest,
    definition: Definition,
    plan: stages.StagePlan,
    wanted: Sequence[int],
    observer: Observer,
) -> None:
    """Tell what the build checks find. Raises: DockerfileError if the author wants that to be an error."""
    checked = definition.checked(plan, wanted, request.build_args, request.target, lambda name: base_config(ws, name))
    for finding in checked.findings:
        observer(BuildWarning(f"{finding.rule.name}: {finding.detail}", finding.first))
    for warning in (*definition.dockerfile.warnings, *plan.warnings):
        if warning.rule not in CHECKED:
            observer(BuildWarning(warning.message, warning.first))
    problem = checked.problem(definition.dockerfile)
    if problem is not None:
        raise problem


def base_config(ws: Workspace, name: str) -> ImageConfig | None:
    """Return the config of an image, None if it is not here."""
    try:
        return images.find(ws, name).config
    except MinidockError:
        return None  # the build says so where it needs the image


def _triggers(ws: Workspace, name: str) -> tuple[str, ...]:
    image = base_config(ws, name)
    return () if image is None else image.config.on_build


def _epoch(request: BuildRequest, plan: stages.StagePlan) -> int | None:
    """Return SOURCE_DATE_EPOCH: the build argument, else the caller's variable, else a global ARG."""
    text = request.build_args.get(_EPOCH)
    if text is None and request.source_date_epoch is not None:
        return request.source_date_epoch
    text = plan.global_args.get(_EPOCH, "") if text is None else text
    if text and not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BuildError(f"invalid SOURCE_DATE_EPOCH: {text}", hint="it is a number of seconds since 1970")
    return int(text) if text else None


class _Builder:
    """The stages of one build and what they share."""

    def __init__(
        self,
        ws: Workspace,
        session: Session,
        stack: ExitStack,
        request: BuildRequest,
        progress: Progress,
        definition: Definition,
        plan: stages.StagePlan,
    ) -> None:
        self._ws = ws
        self._session = session
        self._stack = stack
        self._request = request
        self._progress = progress
        self._plan = plan
        self._dockerfile = dockerfile = definition.dockerfile
        self._cancellation = Cancellation()
        self._stages: Stages[StageState] = Stages(self._stage, self._cancellation)
        self._target = -1
        self._lock = threading.Lock()  # of what all stages open: the context, layers
        self._stats: StatCache | None = None
        self._context: ContextSource | None = None
        self._rules = definition.ignore or IgnoreRules()
        epoch = _epoch(request, plan)
        started = ws.clock.now() if epoch is None else datetime.fromtimestamp(epoch, UTC)
        self._shared = BuildContext(
            ws=ws,
            session=session,
            progress=progress,
            build_args=request.build_args,
            global_args=plan.global_args,
            escape=dockerfile.escape,
            filename=dockerfile.filename,
            source=dockerfile.source,
            step_scope=f"{os.path.realpath(definition.path)} {os.path.realpath(request.context)}",
            started_at=started,
            source_date_epoch=epoch,
            uses_cache=request.uses_cache,
            open_context=self._open_context,
            open_from=self._open_from,
            cancellation=self._cancellation,
            layers_of=self._layers_of,
            resources=request.resources,
            secrets=request.secrets,
            network=request.network,
        )

    def build(self, wanted: Sequence[int], target: int, names: tuple[str, ...]) -> BuildResult:
        """Build the stages, those that do not need each other side by side, and publish the target's image."""
        self._target = target
        self._stages.run(wanted)
        return self._publish(self._stages.state(target).image, names)

    def _stage(self, index: int) -> StageState:
        """Build one stage, waiting for those that it needs."""
        stage = self._plan.stages[index]
        with self._located(stage.from_line):
            state, shown = self._base(stage)
        state = replace(state, image=replace(state.image, config=replace(state.image.config, on_build=())))
        total = sum(isinstance(item, _LAYERED) for item in stage.instructions) + (not stage.is_scratch)
        name = stage.name or f"stage-{index}"
        is_excluded = stage.name in self._request.no_cache_stages
        shared = replace(self._shared, uses_cache=False) if is_excluded else self._shared
        steps = CachedSteps(shared, state, name, self._plan.display_name(index), total)
        builder = StageBuilder(shared, steps)
        if not stage.is_scratch:
            steps.start(f"FROM {shown}").cached(state.image_id)
        for instruction in stage.instructions:
            builder.apply(instruction)
        if index == self._target and self._request.labels:
            builder.labels(self._request.labels)
        return builder.state

    @contextmanager
    def _located(self, line: int) -> Iterator[None]:
        try:
            yield
        except NoSuchImage as error:
            raise self._error(error.reference, line) from error

    def _error(self, reference: str, line: int) -> DockerfileError:
        full = Reference.parse(reference)
        return DockerfileError(
            f"{reference}: failed to resolve source metadata for {full}: {full}: not found",
            filename=self._dockerfile.filename,
            first=line,
            source=self._dockerfile.source,
            hint=f"make it first: `minidock import FILE {full.familiar}` for the tar of a root file system, or "
            f"`minidock image from-host -t {full.familiar} sh ls cat …` for programs of this machine",
        )

    def _platform_error(self, stage: stages.Stage) -> DockerfileError:
        return DockerfileError(
            f"FROM --platform={stage.platform}: another platform than this machine's is not supported yet",
            filename=self._dockerfile.filename,
            first=stage.from_line,
            source=self._dockerfile.source,
        )

    def _base(self, stage: stages.Stage) -> tuple[StageState, str]:
        if stage.is_scratch:
            return StageState(scratch(architecture()), None), "scratch"
        if stage.platform is not None and stage.platform.architecture != architecture():
            raise self._platform_error(stage)
        if isinstance(stage.base, int):
            # The values of its ARGs go on, but the history of this stage names only those that it declares itself.
            return replace(self._stages.state(stage.base), args={}), self._plan.display_name(stage.base)
        image = images.find(self._ws, stage.base)
        self._session.pin([image.image_id, *image.config.diff_ids])
        variables = {name: value for name, _, value in (item.partition("=") for item in image.config.config.env)}
        shown = str(Reference.parse(stage.base)) if image.names else str(image.image_id)
        return StageState(image.config, image.image_id, variables), shown

    def _open_context(self) -> ContextSource:
        with self._lock:
            if self._context is None:
                root = os.path.realpath(self._request.context)
                self._stats = StatCache(self._ws.store.layout, root)
                self._context = ContextSource(Context(root, self._rules, self._stats), self._progress)
            return self._context

    def _open_from(self, instruction: Copy) -> Source:
        found = stages.copy_source(self._plan, instruction)
        if isinstance(found, int):
            return self._layers(self._stages.state(found).image)
        with self._located(instruction.first):
            image = images.find(self._ws, found)
        self._session.pin(image.config.diff_ids)
        return self._layers(image.config)

    def _layers_of(self, name: str, instruction: Run, target: str) -> tuple[Digest, ...]:
        found = stages.mount_source(self._plan, instruction, name, target)
        if isinstance(found, int):
            return self._stages.state(found).image.diff_ids
        with self._located(instruction.first):
            image = images.find(self._ws, found)
        self._session.pin([image.image_id, *image.config.diff_ids])
        return image.config.diff_ids

    def _layers(self, image: ImageConfig) -> LayerSource:
        with self._lock:
            return self._stack.enter_context(layer_source(self._ws.store, image.diff_ids))

    def _publish(self, image: ImageConfig, names: tuple[str, ...]) -> BuildResult:
        """Store the manifest of the target's image and give it its names."""
        with self._progress.internal("exporting to image") as step:
            step.status("exporting layers done")
            image_id, manifest = images.publish(self._ws, self._session, image, names)
            step.status(f"exporting manifest {manifest} done")
            step.status(f"writing image {image_id} done")
            for name in names:
                step.status(f"naming to {Reference.parse(name)} done")
        return BuildResult(image_id, manifest)

    def save(self) -> None:
        """Remember what was learned of the context's files."""
        if self._stats is not None:
            self._stats.save(self._session)
