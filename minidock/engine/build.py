"""Build an image: read the Dockerfile, build the stages that the target needs, publish the result under its names."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from minidock.core import mediatype
from minidock.core.build_record import BuildRecord
from minidock.core.config import ImageConfig
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.dockerfile import stages
from minidock.core.dockerfile.checks.check import CHECKED
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.model import Add, Copy, Run, Workdir
from minidock.core.dockerfile.triggers import with_triggers
from minidock.core.events import BuildWarning, Observer
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.times import format_time
from minidock.engine import images, limits
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.definition import Definition, this_platform
from minidock.engine.images import Image
from minidock.engine.importer import architecture
from minidock.engine.outputs import Result, annotations_for, export, rewritten
from minidock.engine.preparing import BaseOf, BuildRequest, Prepared, Sessions, bases, prepare
from minidock.engine.progress import Progress
from minidock.engine.side_by_side import Cancellation, Stages
from minidock.engine.sources import LayerSource, Source, layer_source
from minidock.engine.stage import StageBuilder
from minidock.engine.stage_state import BuildContext, StageState, scratch
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, DockerfileError, MinidockError, NoSuchImage
from minidock.store.session import Session

_EPOCH = "SOURCE_DATE_EPOCH"
_LAYERED = (Run, Copy, Add, Workdir)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The image that a build gave: its ID, the descriptor of its manifest, the names that it got."""

    image_id: Digest
    manifest: Descriptor
    names: tuple[str, ...] = ()


def build(ws: Workspace, request: BuildRequest, observer: Observer) -> BuildResult:
    """Build and name an image; a failed build moves no name.

    Raises: DockerfileError (with the lines to blame), StepFailed, BuildError, NoSuchImage.
    """
    names = tuple(dict.fromkeys(images.familiar(tag) for tag in request.tags))
    request.outputs.check()
    progress = Progress(observer)
    limits.check(ws, request.resources, progress.warn)
    with ExitStack() as stack:
        sessions = Sessions(ws, stack)
        prepared = prepare(ws, request, progress, sessions)
        plan = prepared.plan(request)
        target = stages.resolve_target(plan, request.target)
        plan = stages.with_contexts(plan, prepared.contexts.__contains__)
        base_of = bases(ws, prepared.contexts)
        fired = with_triggers(plan, lambda name: _triggers(base_of(name)))
        wanted = stages.needed(fired, target)
        _report(request, prepared.definition, plan, wanted, base_of, observer)
        with ExitStack() as sources:
            builder = _Builder(ws, sessions.get(), sources, request, progress, prepared, fired)
            try:
                result = builder.build(wanted, target, names)
            except MinidockError:
                with suppress(MinidockError):  # the build's own error is the one to tell
                    builder.record(names)
                raise
            builder.record(names, result.image_id)
            builder.save()
    return result


def _report(
    request: BuildRequest,
    definition: Definition,
    plan: stages.StagePlan,
    wanted: Sequence[int],
    base_of: BaseOf,
    observer: Observer,
) -> None:
    """Tell what the build checks find. Raises: DockerfileError if the author wants that to be an error."""
    checked = definition.checked(plan, wanted, request.build_args, request.target, base_of)
    for finding in checked.findings:
        observer(BuildWarning(f"{finding.rule.name}: {finding.detail}", finding.first))
    for warning in (*definition.dockerfile.warnings, *plan.warnings):
        if warning.rule not in CHECKED:
            observer(BuildWarning(warning.message, warning.first))
    problem = checked.problem(definition.dockerfile)
    if problem is not None:
        raise problem


def _triggers(image: ImageConfig | None) -> tuple[str, ...]:
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


def _whole_context(stage: stages.Stage, name: str) -> Copy:
    """Return the instruction that a FROM of a named context of files stands for."""
    return Copy(
        (".",), "/", from_=name, original=f"COPY --from={name} . /", first=stage.from_line, last=stage.from_line
    )


class _Builder:
    """The stages of one build and what they share."""

    def __init__(
        self,
        ws: Workspace,
        session: Session,
        stack: ExitStack,
        request: BuildRequest,
        progress: Progress,
        prepared: Prepared,
        plan: stages.StagePlan,
    ) -> None:
        self._ws = ws
        self._session = session
        self._stack = stack
        self._request = request
        self._progress = progress
        self._plan = plan
        self._contexts = prepared.contexts
        self._files = prepared.opened.files
        definition = prepared.definition
        self._dockerfile = dockerfile = definition.dockerfile
        self._cancellation = Cancellation()
        self._stages: Stages[StageState] = Stages(self._stage, self._cancellation)
        self._target = -1
        self._lock = threading.Lock()  # of what all stages open: the context, layers
        self._context: Source | None = None
        self._rules = definition.ignore or IgnoreRules()
        epoch = _epoch(request, plan)
        started = ws.clock.now() if epoch is None else datetime.fromtimestamp(epoch, UTC)
        self._scope = f"{definition.scope} {request.target or ''}"
        last = ws.store.builds.get(self._scope)
        self._shared = BuildContext(
            ws=ws,
            session=session,
            progress=progress,
            build_args=request.build_args,
            global_args=plan.global_args,
            escape=dockerfile.escape,
            filename=dockerfile.filename,
            source=dockerfile.source,
            step_scope=definition.scope,
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
            hosts=request.hosts,
            known_steps=frozenset() if last is None else frozenset(step.id for step in last.steps),
            requires_cached=request.requires_cached,
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
        shared = self._shared
        if is_excluded and shared.uses_cache:
            shared = replace(shared, uses_cache=False, no_cache_option="--no-cache-filter")
        steps = CachedSteps(shared, state, name, self._plan.display_name(index), total)
        builder = StageBuilder(shared, steps)
        if state.image_id is not None:
            steps.start(f"FROM {shown}").cached(state.image_id)
        elif isinstance(stage.base, str) and self._named_source(stage.base) is not None:
            builder.apply(_whole_context(stage, stage.base))
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

    def _problem(self, text: str, line: int) -> DockerfileError:
        return DockerfileError(text, filename=self._dockerfile.filename, first=line, source=self._dockerfile.source)

    def _platform_of(self, stage: stages.Stage) -> Platform:
        """Return what a stage is built for. Raises: DockerfileError if this machine cannot run its steps."""
        wanted = stage.platform or self._request.platform or this_platform()
        run = next((item for item in stage.instructions if isinstance(item, Run)), None)
        if run is not None and wanted.normalized() not in this_platform().runnable():
            text = f"--platform={wanted}: RUN needs a machine of that kind, and this one is {this_platform()}"
            raise self._problem(text, run.first)
        return wanted

    def _base(self, stage: stages.Stage) -> tuple[StageState, str]:
        wanted = self._platform_of(stage)
        empty = replace(scratch(wanted.architecture), os=wanted.os, variant=wanted.variant)
        if isinstance(stage.base, int):
            # The values of its ARGs go on, but the history of this stage names only those that it declares itself.
            return replace(self._stages.state(stage.base), args={}), self._plan.display_name(stage.base)
        if stage.is_scratch or self._is_empty(stage.base):
            return StageState(empty, None), "scratch"
        image = self._image(stage.base, stage.from_line)
        offered = Platform(image.config.os, image.config.architecture, image.config.variant)
        if (stage.platform or self._request.platform) and wanted.choose([offered]) is None:
            full = Reference.parse(stage.base)
            raise self._problem(
                f"{stage.base}: failed to resolve source metadata for {full}: no match for platform in manifest: "
                f"not found: it is for {offered}",
                stage.from_line,
            )
        variables = {name: value for name, _, value in (item.partition("=") for item in image.config.config.env)}
        shown = str(Reference.parse(stage.base)) if image.names else str(image.image_id)
        return StageState(image.config, image.image_id, variables), shown

    def _is_empty(self, name: str) -> bool:
        """Tell whether a base has no layers to begin with: files of a named context are copied into it."""
        return name in self._contexts and (not self._contexts.names_image(name) or self._contexts.is_scratch(name))

    def _open_context(self) -> Source:
        with self._lock:
            if self._context is None:
                self._context = self._files.source(self._rules, self._progress)
            return self._context

    def _named_source(self, name: str) -> Source | None:
        """Return the files of a named context, None if an image, a stage or nothing of its own has the name."""
        if name not in self._contexts or self._contexts.names_image(name):
            return None
        return self._contexts.source(name)

    def _open_from(self, instruction: Copy) -> Source:
        found = stages.copy_source(self._plan, instruction)
        if isinstance(found, int):
            return self._layers(self._stages.state(found).image)
        source = self._named_source(found)
        if source is not None:
            return source
        return self._layers(self._config(found, instruction.first))

    def _layers_of(self, name: str, instruction: Run, target: str) -> tuple[Digest, ...] | Source:
        found = stages.mount_source(self._plan, instruction, name, target)
        if isinstance(found, int):
            return self._stages.state(found).image.diff_ids
        return self._named_source(found) or self._config(found, instruction.first).diff_ids

    def _image(self, name: str, line: int) -> Image:
        """Return the image that a FROM, a --from or a named context means, kept until the build ends."""
        with self._located(line):
            image = self._contexts.image(name) if name in self._contexts else images.find(self._ws, name)
        self._session.pin([image.image_id, *image.config.diff_ids])
        return image

    def _config(self, name: str, line: int) -> ImageConfig:
        return scratch(architecture()) if self._is_empty(name) else self._image(name, line).config

    def _layers(self, image: ImageConfig) -> LayerSource:
        with self._lock:
            return self._stack.enter_context(layer_source(self._ws.store, image.diff_ids))

    def _publish(self, image: ImageConfig, names: tuple[str, ...]) -> BuildResult:
        """Write the outputs; store the manifest of the target's image and give it its names if that is one of them."""
        outputs = self._request.outputs
        of_manifest, of_descriptor = annotations_for(
            self._request.annotations, Platform(image.os, image.architecture, image.variant)
        )
        epoch = self._shared.source_date_epoch
        rewrites = any(output.attributes.get("rewrite-timestamp") == "true" for output in outputs.wanted)
        if outputs.is_stored and rewrites and epoch is not None:
            image = rewritten(self._ws, self._session, image, epoch)
        exported = Result(image, names, of_manifest, of_descriptor, epoch)
        export(self._ws, self._session, outputs, exported, self._progress)
        if not outputs.is_stored:
            data = image.to_bytes()
            manifest = images.manifest_of(self._ws, image, data, of_manifest).to_bytes()
            descriptor = Descriptor(mediatype.MANIFEST, Digest.sha256(manifest), len(manifest))
            return BuildResult(Digest.sha256(data), descriptor, names)
        names = outputs.names(names)
        with self._progress.internal("exporting to image") as step:
            step.status("exporting layers done")
            image_id, digest = images.publish(self._ws, self._session, image, names, annotations=of_manifest)
            step.status(f"exporting manifest {digest} done")
            step.status(f"writing image {image_id} done")
            for name in names:
                step.status(f"naming to {Reference.parse(name)} done")
        size = len(self._ws.store.blobs.read(digest))
        return BuildResult(image_id, Descriptor(mediatype.MANIFEST, digest, size), names)

    def record(self, names: tuple[str, ...], image_id: Digest | None = None) -> None:
        """Remember what became of the steps so far, and why."""
        steps = tuple(sorted(self._shared.fates, key=lambda fate: fate.number))
        ended = format_time(self._ws.clock.now())
        self._ws.store.builds.put(self._session, BuildRecord(self._scope, ended, steps, image_id, names))

    def save(self) -> None:
        """Remember what was learned of the context's files."""
        self._files.save(self._session)
        self._contexts.save(self._session)
