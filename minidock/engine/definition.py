"""What a build is told: the Dockerfile as read and planned, and the ignore rules of its context."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from minidock.core import units
from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile import instructions, parser, stages
from minidock.core.dockerfile.checks.check import Checked, check, check_file, options_of
from minidock.core.dockerfile.checks.file_rules import FileView
from minidock.core.dockerfile.checks.rule import Finding
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.model import Instruction
from minidock.core.dockerfile.parser import Dockerfile
from minidock.core.dockerfile.stage_plan import StagePlan
from minidock.core.platform import Platform
from minidock.engine.contexts import STDIN, FileContext, Opened
from minidock.engine.platforms import this_platform
from minidock.engine.progress import Progress
from minidock.errors import BuildError


@dataclass(frozen=True, slots=True)
class Definition:
    """A Dockerfile that was read from ``scope``; ``ignore`` is None where there is no ignore file."""

    scope: str
    dockerfile: Dockerfile
    instructions: Sequence[Instruction]
    ignore: IgnoreRules | None
    platform: Platform | None = None  # of the result, None for that of this machine

    def plan(self, build_args: Mapping[str, str], target: str | None) -> StagePlan:
        """Return its stages. Raises: DockerfileError."""
        return stages.split(self.dockerfile, self.instructions, build_args, predefined_args(target, self.platform))

    def findings_of_file(self, build_args: Mapping[str, str], target: str | None) -> tuple[Finding, ...]:
        """Return what the build checks find in a file whose stages make no sense. Raises: DockerfileError."""
        predefined = predefined_args(target, self.platform)
        view = FileView(self.dockerfile, self.instructions, {**predefined, **build_args}, predefined)
        return check_file(view, options_of(self.dockerfile, build_args))

    def checked(
        self,
        plan: StagePlan,
        wanted: Iterable[int],
        build_args: Mapping[str, str],
        target: str | None,
        base_of: Callable[[str], ImageConfig | None],
    ) -> Checked:
        """Return what the build checks find in the stages ``wanted``. Raises: DockerfileError for bad options."""
        return check(
            plan,
            self.instructions,
            wanted,
            options_of(self.dockerfile, build_args),
            build_args=build_args,
            predefined=predefined_args(target, self.platform),
            ignore=self.ignore,
            base_of=base_of,
        )


def read_definition(opened: Opened, dockerfile: str | None, progress: Progress) -> Definition:
    """Read the Dockerfile and the ignore file of a context.

    ``dockerfile`` is a path, on the host for a local directory and in the context for others; None: the context's own.

    Raises: BuildError, DockerfileError.
    """
    files = opened.files
    path = _path_of(files, dockerfile)
    if opened.dockerfile is None:
        data, place = _read(files, path, dockerfile, progress), path
    else:
        data, place = opened.dockerfile, STDIN
        with progress.internal("[internal] load build definition from Dockerfile") as step:
            step.status(f"transferring dockerfile: {units.progress_size(len(data))} done")
    parsed = parser.parse(data, dockerfile or os.path.basename(path))
    rules = read_ignore_rules(opened, dockerfile, progress)
    return Definition(f"{files.scope} {place}", parsed, instructions.read(parsed), rules)


def read_ignore_rules(opened: Opened, dockerfile: str | None, progress: Progress) -> IgnoreRules | None:
    """Return the ignore rules of a context: of the file beside the Dockerfile, or else of ``.dockerignore``.

    None if there is neither, and for what is no local directory. Raises: PatternError.
    """
    if not opened.files.is_local:
        return None
    # A Dockerfile that came another way has no ignore file beside it.
    beside = f"{_path_of(opened.files, dockerfile)}.dockerignore" if opened.dockerfile is None else None
    return _read_ignore_rules(opened.files, beside, progress)


def _path_of(files: FileContext, dockerfile: str | None) -> str:
    if dockerfile is not None:
        return os.path.abspath(dockerfile) if files.is_local else dockerfile
    for name in ("Dockerfile", "dockerfile"):
        try:
            files.read(name)
        except FileNotFoundError:
            continue
        except IsADirectoryError:
            return name
        return name
    return "Dockerfile"


def _read(files: FileContext, path: str, dockerfile: str | None, progress: Progress) -> bytes:
    with progress.internal(f"[internal] load build definition from {os.path.basename(path)}") as step:
        try:
            data = files.read(path)
        except FileNotFoundError as error:
            name = dockerfile or path
            raise BuildError(f"failed to read dockerfile: open {name}: no such file or directory") from error
        except IsADirectoryError as error:
            raise BuildError(f"failed to read dockerfile: {path} is a directory") from error
        step.status(f"transferring dockerfile: {units.progress_size(len(data))} done")
    return data


def _read_ignore_rules(files: FileContext, beside: str | None, progress: Progress) -> IgnoreRules | None:
    with progress.internal("[internal] load .dockerignore") as step:
        data, name = None, ""
        for path in filter(None, (beside, ".dockerignore")):
            try:
                data, name = files.read(path), os.path.basename(path)
                break
            except FileNotFoundError:
                continue
        step.status(f"transferring context: {units.progress_size(len(data or b'') or 2)} done")
        return None if data is None else IgnoreRules.parse(data.decode("utf-8", "surrogateescape"), name)


def predefined_args(target: str | None, platform: Platform | None = None) -> dict[str, str]:
    """Return the platform arguments, which need no declaration in FROM lines."""
    found = {}
    for side, shown in (("TARGET", platform or this_platform()), ("BUILD", this_platform())):
        found.update(
            {
                f"{side}PLATFORM": str(shown),
                f"{side}OS": shown.os,
                f"{side}ARCH": shown.architecture,
                f"{side}VARIANT": shown.variant,
            }
        )
    found["TARGETSTAGE"] = target or "default"
    return found
