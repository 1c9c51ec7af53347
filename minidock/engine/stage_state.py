"""What the steps of a stage work on: what all stages of a build share, and where one stage stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime

from minidock.core.base_image import BaseImage
from minidock.core.build_record import StepFate
from minidock.core.cache_manifest import CachedResult
from minidock.core.config import ContainerConfig, ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.dockerfile.model import Copy, Run
from minidock.core.process import DEFAULT_PATH
from minidock.core.reason import Reason
from minidock.core.resources import Resources
from minidock.core.step_lines import CopiedFrom, StepLines
from minidock.core.times import format_time
from minidock.engine.ahead import Ahead
from minidock.engine.cache_import import ImportedCache
from minidock.engine.progress import Progress
from minidock.engine.secrets import Secrets
from minidock.engine.side_by_side import Cancellation
from minidock.engine.sources import Source
from minidock.engine.workspace import Workspace
from minidock.store.session import Session

COMMENT = "buildkit.dockerfile.v0"


class NotKnownYet(Exception):
    """What an instruction takes in is not there before the build has made or fetched it; seen in plans only."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What the stages of one build share."""

    ws: Workspace
    session: Session
    progress: Progress
    build_args: Mapping[str, str]
    global_args: Mapping[str, str]
    escape: str
    filename: str
    source: str
    step_scope: str
    started_at: datetime
    source_date_epoch: int | None
    uses_cache: bool
    open_context: Callable[[], Source]
    open_from: Callable[[Copy], Source]
    copied_from: Callable[[Copy, str], CopiedFrom | None]
    cancellation: Cancellation
    ahead: Ahead
    # Layers of a stage or image, or the files of a named context, for a mount of a RUN.
    layers_of: Callable[[str, Run, str], tuple[Digest, ...] | Source]
    secrets: Secrets = field(default_factory=Secrets)
    network: str = ""  # of RUN instructions that do not say which
    resources: Resources = field(default_factory=Resources)  # of every RUN
    hosts: tuple[tuple[str, str], ...] = ()  # names and addresses that every RUN knows
    fates: list[StepFate] = field(default_factory=list)  # what became of the steps so far
    known_steps: frozenset[str] = frozenset()  # ids of the steps of the last build
    known_names: frozenset[str] = frozenset()  # what the progress called them: [STAGE N/TOTAL] INSTRUCTION
    no_cache_option: str = "--no-cache"  # what is to blame where the cache is not used
    requires_cached: bool = False  # a step that would run is an error
    imported: ImportedCache | None = None  # results of other machines
    context_words: tuple[str, ...] | None = None  # all sources in a context of which only those are sent
    results: list[CachedResult] = field(default_factory=list)  # of the steps so far, for other machines

    @property
    def now(self) -> str:
        """The time that a step made now is dated with, RFC 3339."""
        if self.source_date_epoch is not None:
            return format_time(self.started_at)
        return format_time(self.ws.clock.now())

    @property
    def cache_namespace(self) -> str:
        """What the names of cache mounts begin with."""
        return self.build_args.get("BUILDKIT_CACHE_MOUNT_NS", "")

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """What of the command line belongs to the inputs of every step."""
        return () if self.source_date_epoch is None else (("SOURCE_DATE_EPOCH", str(self.source_date_epoch)),)


@dataclass(frozen=True, slots=True)
class StageState:
    """Where a stage stands: its image so far, and the variables in force.

    ``variables`` holds ENV and ARG values in order, ``args`` the arguments declared so far with what history shows.
    ``first_rebuilt`` is what the progress calls the first step that was rebuilt, empty if all are cached.
    ``base`` is the name and ID of the image that it began with, empty if there is none, ``base_layers`` are how many
    that has; ``lines`` has as many items as the history of ``image``.
    """

    image: ImageConfig
    image_id: Digest | None
    variables: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    first_rebuilt: str = ""
    base: str = ""
    base_layers: int = 0
    lines: tuple[StepLines | None, ...] = ()

    @property
    def was_rebuilt(self) -> bool:
        """Whether any of its steps was rebuilt, or one of the stages that it is based on."""
        return bool(self.first_rebuilt)

    @property
    def base_image(self) -> BaseImage | None:
        """The image that it began with."""
        return BaseImage.from_text(f"{self.base_layers} {self.base or 'scratch'}")

    @property
    def parent(self) -> str:
        """The image before the next step, as the inputs of that step name it."""
        return str(self.image_id) if self.image_id else "scratch"


def scratch(architecture: str) -> ImageConfig:
    """Return the image that `FROM scratch` starts with."""
    config = ContainerConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/")
    return ImageConfig(architecture=architecture, config=config)
