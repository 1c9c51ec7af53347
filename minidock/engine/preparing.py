"""What a build begins with: the request, its context, its Dockerfile, and the images that its stages are based on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import field, replace
from typing import BinaryIO

from minidock.core.build_options import Annotation, CacheOption
from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile import stage_needs, stage_plan
from minidock.core.dockerfile.checks.check import CHECKED
from minidock.core.dockerfile.entitlements import refusal
from minidock.core.dockerfile.model import Run
from minidock.core.dockerfile.triggers import with_triggers
from minidock.core.events import BuildWarning, Observer
from minidock.core.platform import Platform
from minidock.core.resources import Resources
from minidock.core.truth import TRUE
from minidock.engine import images
from minidock.engine.base_images import BaseImages
from minidock.engine.contexts import STDIN, Fetching, Opened, fetch_dockerfile, is_url, open_context
from minidock.engine.definition import Definition, read_definition
from minidock.engine.named_contexts import NamedContexts
from minidock.engine.outputs import Outputs
from minidock.engine.progress import Progress
from minidock.engine.registries import Environment
from minidock.engine.secrets import Secrets
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, MinidockError
from minidock.store.session import Session

BaseOf = Callable[[str], ImageConfig | None]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build: the context as typed, and the options of the command line.

    ``dockerfile`` is a path, ``-`` for ``stdin``, None for the context's own; ``tags`` are references as typed.
    ``network`` is that of RUN instructions which do not choose one; stages named in ``no_cache_stages`` are rebuilt.
    ``contexts`` stand for the images or stages of their names; ``platform`` is None for that of this machine; with
    ``platforms`` there is an image for each, and an index of them.
    ``hosts`` are names and addresses that RUN instructions know.
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
    stdin: BinaryIO | None = None
    contexts: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    platforms: tuple[Platform, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    outputs: Outputs = field(default_factory=Outputs)
    annotations: tuple[Annotation, ...] = ()
    requires_cached: bool = False  # a step that would run is an error
    cache_from: tuple[CacheOption, ...] = ()
    cache_to: tuple[CacheOption, ...] = ()
    environment: Environment | None = None  # says how registries are reached; None: nothing is pulled
    pulls_always: bool = False
    allowed: tuple[str, ...] = ()  # entitlements


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a build begins with: its context, its Dockerfile, what --build-context names, images."""

    opened: Opened
    definition: Definition
    contexts: NamedContexts
    images: BaseImages


@dataclass(frozen=True, slots=True)
class Course:
    """The stages of a build, triggers of their bases with them: which are needed, and which is the ``target``."""

    plan: stage_plan.StagePlan
    wanted: tuple[int, ...]
    target: int


@dataclass(frozen=True, slots=True)
class Setup:
    """What the stages of one build work with; ``stack`` closes what they open.

    ``is_plan`` if nothing is to be run or written.
    """

    ws: Workspace
    session: Session
    stack: ExitStack
    request: BuildRequest
    progress: Progress
    prepared: Prepared
    course: Course
    is_plan: bool = False

    @property
    def scope(self) -> str:
        """What the record of the build is kept under."""
        return f"{self.prepared.definition.scope} {self.request.target or ''}"


class Sessions:
    """The session of a build, begun when it is first needed: a mistake in a Dockerfile writes nothing."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Session]], stack: ExitStack) -> None:
        self._begin = begin
        self._stack = stack
        self._session: Session | None = None

    def get(self) -> Session:
        """Return the session, which ends with the stack."""
        if self._session is None:
            self._session = self._stack.enter_context(self._begin())
        return self._session


def prepare(ws: Workspace, request: BuildRequest, progress: Progress, sessions: Sessions) -> Prepared:
    """Get the context and read the Dockerfile. Raises: BuildError, DockerfileError."""
    keeps_git_dir = request.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "") in TRUE
    fetching = Fetching(ws, sessions.get, progress, request.secrets, keeps_git_dir=keeps_git_dir)
    contexts = NamedContexts(request.contexts, fetching)
    if request.dockerfile == STDIN and request.context == STDIN:
        raise BuildError("invalid argument: can't use stdin for both build context and dockerfile")
    opened = open_context(fetching, request.context, request.stdin)
    path = request.dockerfile
    if opened.dockerfile is not None and path is not None:
        raise BuildError("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
    if path == STDIN:
        assert request.stdin is not None
        opened, path = replace(opened, dockerfile=request.stdin.read()), None
    elif path is not None and is_url(path):
        opened, path = replace(opened, dockerfile=fetch_dockerfile(fetching, path)), None
    definition = replace(read_definition(opened, path, progress), platform=request.platform)
    found = BaseImages(ws, sessions.get, progress, request.environment, always=request.pulls_always)
    return Prepared(opened, definition, contexts, found)


def by_platform(request: BuildRequest, prepared: Prepared) -> Iterator[tuple[BuildRequest, Prepared]]:
    """Yield the build for every platform, with a scope of its own if there are several."""
    if not request.platforms:
        yield request, prepared
    for platform in request.platforms:
        scope = f"{prepared.definition.scope} {platform}"
        definition = replace(prepared.definition, platform=platform, scope=scope)
        yield replace(request, platform=platform), replace(prepared, definition=definition)


def bases(ws: Workspace, contexts: NamedContexts) -> BaseOf:
    """Return what finds the config of a base: None if it is not here, or is no image."""

    def base_of(name: str) -> ImageConfig | None:
        try:
            if name in contexts:
                is_image = contexts.names_image(name) and not contexts.is_scratch(name)
                return contexts.image(name).config if is_image else None
            return images.find(ws, name).config
        except MinidockError:
            return None  # the build says so where it needs the image

    return base_of


def course_of(ws: Workspace, request: BuildRequest, prepared: Prepared, observer: Observer) -> Course:
    """Return the stages to build, having told what the build checks find. Raises: DockerfileError."""
    plan = prepared.definition.plan(request.build_args, request.target)
    target = stage_plan.resolve_target(plan, request.target)
    plan = stage_plan.with_contexts(plan, prepared.contexts.__contains__)
    base_of = bases(ws, prepared.contexts)
    while True:
        fired = with_triggers(plan, lambda name: _triggers(base_of(name)))
        wanted = stage_needs.needed(fired, target)
        if not prepared.images.provide(_bases(request, prepared.contexts, fired, wanted)):
            break  # else what came has triggers perhaps, and those need more stages
    _refuse(fired, wanted, request.allowed)
    _report(request, prepared.definition, plan, wanted, base_of, observer)
    return Course(fired, wanted, target)


def _refuse(plan: stage_plan.StagePlan, wanted: Sequence[int], allowed: Sequence[str]) -> None:
    """Find, before anything runs, what needs to be allowed and is not. Raises: DockerfileError."""
    for run in (item for index in wanted for item in plan.stages[index].instructions if isinstance(item, Run)):
        found = refusal(run, allowed)
        if found is not None:
            raise plan.dockerfile.error(found[0], run.first, run.last, hint=found[1])


def _bases(
    request: BuildRequest, contexts: NamedContexts, plan: stage_plan.StagePlan, wanted: Sequence[int]
) -> Iterator[tuple[str, Platform | None]]:
    """Yield the images that stages are based on, each with the platform that is asked for."""
    for stage in (plan.stages[index] for index in wanted):
        if isinstance(stage.base, str) and not stage.is_scratch:
            name = contexts.reference(stage.base) if stage.base in contexts else stage.base
            if name is not None:
                yield name, stage.platform or request.platform


def _triggers(image: ImageConfig | None) -> tuple[str, ...]:
    return () if image is None else image.config.on_build


def _report(
    request: BuildRequest,
    definition: Definition,
    plan: stage_plan.StagePlan,
    wanted: Sequence[int],
    base_of: BaseOf,
    observer: Observer,
) -> None:
    """Tell what the build checks find. Raises: DockerfileError if the author wants that to be an error."""
    checked = definition.checked(plan, wanted, request.build_args, request.target, base_of)
    for finding in checked.findings:
        observer(BuildWarning(f"{finding.rule.name}: {finding.detail}", finding.first))
    for warning in definition.dockerfile.warnings:
        if warning.rule not in CHECKED:
            observer(BuildWarning(warning.message, warning.first))
    problem = checked.problem(definition.dockerfile)
    if problem is not None:
        raise problem
