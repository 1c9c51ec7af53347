"""Instructions become stages, each with what it is built on.

Source: BuildKit, frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence

from minidock.core.dockerfile import words
from minidock.core.dockerfile.model import Arg, From, Instruction
from minidock.core.dockerfile.parser import Dockerfile
from minidock.core.dockerfile.stage_needs import refuse_circles
from minidock.core.dockerfile.stage_plan import SCRATCH, Stage, StagePlan
from minidock.core.platform import Platform
from minidock.core.quoting import quoted
from minidock.core.reference import Reference
from minidock.errors import ExpansionError, InvalidPlatform, InvalidReference

# Arguments that say something to the builder: no instruction sees their values.
NOT_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


def split(
    dockerfile: Dockerfile,
    instructions: Sequence[Instruction],
    build_args: Mapping[str, str],
    predefined: Mapping[str, str],
) -> StagePlan:
    """Return the stages with their bases and platforms resolved.

    ``predefined`` holds TARGETPLATFORM and its like, which FROM lines can use undeclared; a build argument of the same
    name wins. Raises: DockerfileError, also for stages that need each other in a circle.
    """
    before, parts = _grouped(dockerfile, instructions)
    scope = {**predefined, **{name: value for name, value in build_args.items() if name in predefined}}
    for arg in before:
        try:
            scope.update(resolve_args(arg, scope, build_args, {}, dockerfile.escape))
        except ExpansionError as error:
            raise dockerfile.error(str(error), arg.first, arg.last) from error
    stages: list[Stage] = []
    latest: dict[str, int] = {}  # of each name
    for from_, body in parts:
        try:
            stages.append(_stage(from_, tuple(body), len(stages), latest, scope, dockerfile.escape))
        except (ExpansionError, InvalidPlatform, _StageProblem) as error:
            raise dockerfile.error(str(error), from_.first, from_.last) from error
        if from_.name:
            latest[from_.name] = stages[-1].index
    plan = StagePlan(dockerfile, tuple(stages), scope)
    refuse_circles(plan)
    return plan


def resolve_args(
    arg: Arg,
    env: Mapping[str, str],
    build_args: Mapping[str, str],
    global_args: Mapping[str, str],
    escape: str = "\\",
) -> dict[str, str]:
    """Return the variables that an ARG sets, in order; names without any value are left out. As `resolve_each`."""
    found = resolve_each(arg, env, build_args, global_args, escape)
    return {name: value for name, value in found if value is not None}


def resolve_each(
    arg: Arg,
    env: Mapping[str, str],
    build_args: Mapping[str, str],
    global_args: Mapping[str, str],
    escape: str = "\\",
) -> tuple[tuple[str, str | None], ...]:
    """Return the parts of an ARG in order, each with the value that it gets, None if it gets none.

    A build argument wins over the default, the default over ``global_args``. The parts are done one after the other:
    later ones see earlier ones. A default is expanded only if it is used, a name never. Raises: ExpansionError.
    """
    values: dict[str, str] = {}
    scope: Mapping[str, str] = ChainMap(values, env)  # type: ignore[arg-type]  # env is only read
    found: list[tuple[str, str | None]] = []
    for name, default in arg.args:
        value = build_args.get(name)
        if value is None:
            value = global_args.get(name) if default is None else words.expand(default, scope, escape)
        if value is not None:
            values[name] = value
        found.append((name, value))
    return tuple(found)


class _StageProblem(ValueError):
    """What is wrong with a FROM; `split` adds its lines."""


def _grouped(
    dockerfile: Dockerfile, instructions: Iterable[Instruction]
) -> tuple[list[Arg], list[tuple[From, list[Instruction]]]]:
    """Return the global ARGs, and every FROM with the instructions that follow it."""
    before: list[Arg] = []
    parts: list[tuple[From, list[Instruction]]] = []
    for instruction in instructions:
        match instruction:
            case From():
                parts.append((instruction, []))
            case _ if parts:
                parts[-1][1].append(instruction)
            case Arg():
                before.append(instruction)
            case _:
                raise dockerfile.error("no build stage in current context", instruction.first, instruction.last)
    if not parts:
        raise dockerfile.error("dockerfile contains no stages to build")
    return before, parts


def _stage(
    from_: From,
    body: tuple[Instruction, ...],
    number: int,
    earlier: Mapping[str, int],
    scope: Mapping[str, str],
    escape: str,
) -> Stage:
    """Return the stage with this number; ``earlier`` are the names before it with the last stage of each."""
    text = words.expand(from_.base, scope, escape)
    if not text:
        raise _StageProblem(f"base name ({from_.base}) should not be blank")
    base: str | int = text
    # Names of stages are lower-cased, and FROM does not do that for whoever asks; COPY --from does.
    index = earlier.get(text)
    is_scratch = text == SCRATCH
    if not is_scratch and index is not None:
        base = index
    elif not is_scratch:
        try:
            Reference.parse(text)
        except InvalidReference as error:
            raise _StageProblem(f"failed to parse stage name {quoted(text)}: {error}") from error
    platform = _platform(from_.platform, scope, escape)
    return Stage(number, from_.name, base, is_scratch, platform, body, from_)


def _platform(written: str, scope: Mapping[str, str], escape: str) -> Platform | None:
    if not written:
        return None
    text = words.expand(written, scope, escape)
    if not text:
        raise _StageProblem(f"empty platform value from expression {written}")
    host = Platform("linux", scope.get("BUILDARCH") or "amd64", scope.get("BUILDVARIANT", ""))
    return Platform.parse(text, host).normalized()
