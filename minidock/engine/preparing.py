"""What a build begins with: the request, its context, its Dockerfile, and the images that its stages are based on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from minidock.core.build_options import Annotation
from minidock.core.config import ImageConfig
from minidock.core.dockerfile import stages
from minidock.core.platform import Platform
from minidock.core.resources import Resources
from minidock.engine import images
from minidock.engine.contexts import STDIN, Fetching, Opened, open_context
from minidock.engine.definition import Definition, read_definition
from minidock.engine.named_contexts import NamedContexts
from minidock.engine.outputs import Outputs
from minidock.engine.progress import Progress
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
    ``contexts`` stand for the images or stages of their names; ``platform`` is None for that of this machine.
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
    hosts: tuple[tuple[str, str], ...] = ()
    outputs: Outputs = field(default_factory=Outputs)
    annotations: tuple[Annotation, ...] = ()
    requires_cached: bool = False  # a step that would run is an error


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a build begins with: its context, its Dockerfile, and what --build-context names."""

    opened: Opened
    definition: Definition
    contexts: NamedContexts

    def plan(self, request: BuildRequest) -> stages.StagePlan:
        """Return the stages. Raises: DockerfileError."""
        return self.definition.plan(request.build_args, request.target)


class Sessions:
    """The session of a build, begun when it is first needed: a mistake in a Dockerfile writes nothing."""

    def __init__(self, ws: Workspace, stack: ExitStack) -> None:
        self._ws = ws
        self._stack = stack
        self._session: Session | None = None

    def get(self) -> Session:
        """Return the session, which ends with the stack."""
        if self._session is None:
            self._session = self._stack.enter_context(self._ws.store.session())
        return self._session


def prepare(ws: Workspace, request: BuildRequest, progress: Progress, sessions: Sessions) -> Prepared:
    """Get the context and read the Dockerfile. Raises: BuildError, DockerfileError."""
    keeps_git_dir = request.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "") in ("1", "true")
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
    definition = replace(read_definition(opened, path, progress), platform=request.platform)
    return Prepared(opened, definition, contexts)


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
