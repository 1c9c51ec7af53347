"""The 18 instructions as values. `instructions` reads them, `expansion` replaces their variables."""

from __future__ import annotations

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.heredocs import Heredoc


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: one string for the shell if ``is_shell``, else the words of a JSON array."""

    args: tuple[str, ...]
    is_shell: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where an instruction stands (1-based lines, inclusive) and its text, continuation lines joined."""

    first: int = 0
    last: int = 0
    original: str = ""


@dataclass(frozen=True, slots=True)
class From(Located):
    """``base`` and ``platform`` as written, before expansion; ``name`` is lower-cased, empty if there is none."""

    base: str
    name: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Arg(Located):
    """Names with their default values as written; ``None`` where no value is given."""

    args: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Env(Located):
    """Variables in order; values keep their quotes until they are expanded."""

    pairs: tuple[tuple[str, str], ...]
    is_legacy: bool = False


@dataclass(frozen=True, slots=True)
class Label(Located):
    """Labels in order; names and values keep their quotes until they are expanded."""

    pairs: tuple[tuple[str, str], ...]
    is_legacy: bool = False


@dataclass(frozen=True, slots=True)
class Maintainer(Located):
    """The author; deprecated, never expanded."""

    author: str


@dataclass(frozen=True, slots=True)
class Copy(Located):
    """``sources`` are paths, ``heredocs`` files that are copied after them, named as the heredoc.

    ``from_`` is a stage's name or number, or an image; empty for the build context.
    """

    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...] = ()
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Add(Located):
    """As COPY, but sources may also be URLs, git repositories and archives.

    ``unpack`` and ``keep_git_dir`` are ``None`` if not given.
    """

    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    keep_git_dir: bool | None = None
    checksum: str = ""
    unpack: bool | None = None
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run(Located):
    """``mounts`` and ``devices`` are raw values of their flags, ``network`` and ``security`` empty if not given."""

    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()
    network: str = ""
    security: str = ""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cmd(Located):
    """``CMD []`` has a command without words: it empties the field."""

    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint(Located):
    """``ENTRYPOINT []`` has a command without words: it empties the field."""

    command: Command


@dataclass(frozen=True, slots=True)
class Shell(Located):
    """What the shell form of later instructions is run by, as words."""

    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User(Located):
    """``user[:group]``, names or numbers."""

    user: str


@dataclass(frozen=True, slots=True)
class Workdir(Located):
    """A path, relative to the working directory before it."""

    path: str


@dataclass(frozen=True, slots=True)
class Expose(Located):
    """Words as written; after expansion ``port/protocol``, one for every port of a range."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume(Located):
    """Paths as written."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopSignal(Located):
    """A signal's name or number as written."""

    signal: str


@dataclass(frozen=True, slots=True)
class Healthcheck(Located):
    """``test`` starts with NONE, CMD or CMD-SHELL; durations are nanoseconds, 0 means inherited."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Onbuild(Located):
    """The instruction that fires in a build on top of this image, as written, with its heredocs."""

    trigger: str


Instruction = (
    From
    | Arg
    | Env
    | Label
    | Maintainer
    | Copy
    | Add
    | Run
    | Cmd
    | Entrypoint
    | Shell
    | User
    | Workdir
    | Expose
    | Volume
    | StopSignal
    | Healthcheck
    | Onbuild
)
