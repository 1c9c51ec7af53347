"""What a build is told: the Dockerfile as read and planned, and the ignore rules of its context."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from minidock.core import units
from minidock.core.config import ImageConfig
from minidock.core.dockerfile import instructions, parser, stages
from minidock.core.dockerfile.checks.check import Checked, check, check_file, options_of
from minidock.core.dockerfile.checks.file_rules import FileView
from minidock.core.dockerfile.checks.rule import Finding
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.model import Instruction
from minidock.core.dockerfile.parser import Dockerfile
from minidock.core.dockerfile.stages import StagePlan
from minidock.engine.importer import architecture
from minidock.engine.progress import Progress
from minidock.errors import BuildError


@dataclass(frozen=True, slots=True)
class Definition:
    """A Dockerfile that was read from ``path``; ``ignore`` is None where there is no ignore file."""

    path: str
    dockerfile: Dockerfile
    instructions: Sequence[Instruction]
    ignore: IgnoreRules | None

    def plan(self, build_args: Mapping[str, str], target: str | None) -> StagePlan:
        """Return its stages. Raises: DockerfileError."""
        return stages.split(self.dockerfile, self.instructions, build_args, predefined_args(target))

    def findings_of_file(self, build_args: Mapping[str, str], target: str | None) -> tuple[Finding, ...]:
        """Return what the build checks find in a file whose stages make no sense. Raises: DockerfileError."""
        predefined = predefined_args(target)
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
            predefined=predefined_args(target),
            ignore=self.ignore,
            base_of=base_of,
        )


def read_definition(context: str, dockerfile: str | None, progress: Progress) -> Definition:
    """Read the Dockerfile (None: the context's own) and the ignore file. Raises: BuildError, DockerfileError."""
    parsed, path = _read_dockerfile(context, dockerfile, progress)
    return Definition(path, parsed, instructions.read(parsed), _read_ignore_rules(context, path, progress))


def predefined_args(target: str | None) -> dict[str, str]:
    """Return the platform arguments, which need no declaration in FROM lines."""
    machine = architecture()
    found = {}
    for side in ("TARGET", "BUILD"):
        found.update(
            {f"{side}PLATFORM": f"linux/{machine}", f"{side}OS": "linux", f"{side}ARCH": machine, f"{side}VARIANT": ""}
        )
    found["TARGETSTAGE"] = target or "default"
    return found


def _read_dockerfile(context: str, dockerfile: str | None, progress: Progress) -> tuple[Dockerfile, str]:
    if not os.path.isdir(context):
        raise BuildError(f'unable to prepare context: path "{context}" not found')
    path = dockerfile or os.path.join(context, "Dockerfile")
    if dockerfile is None and not os.path.exists(path):
        lower = os.path.join(context, "dockerfile")
        path = lower if os.path.exists(lower) else path
    shown = os.path.basename(path)
    with progress.internal(f"[internal] load build definition from {shown}") as step:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError as error:
            name = dockerfile or shown
            raise BuildError(f"failed to read dockerfile: open {name}: no such file or directory") from error
        except IsADirectoryError as error:
            raise BuildError(f"failed to read dockerfile: {path} is a directory") from error
        step.status(f"transferring dockerfile: {units.progress_size(len(data))} done")
    return parser.parse(data, dockerfile or shown), path


def _read_ignore_rules(context: str, dockerfile: str, progress: Progress) -> IgnoreRules | None:
    with progress.internal("[internal] load .dockerignore") as step:
        data = None
        for path in (f"{dockerfile}.dockerignore", os.path.join(context, ".dockerignore")):
            try:
                with open(path, "rb") as file:
                    data = file.read()
                break
            except FileNotFoundError:
                continue
        step.status(f"transferring context: {units.progress_size(len(data or b'') or 2)} done")
        return None if data is None else IgnoreRules.parse(data.decode("utf-8", "surrogateescape"))
