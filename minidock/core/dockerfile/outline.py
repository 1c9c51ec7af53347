"""What can be asked of a Dockerfile without building it: its targets, and what a target takes.

Source: BuildKit, dockerfile2llb/outline.go and frontend/subrequests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile import run_mounts, stage_needs, stages, words
from minidock.core.dockerfile.model import Arg, Env, From, Instruction, Run
from minidock.core.dockerfile.parser import Dockerfile
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.dockerfile.run_mounts import MountType
from minidock.core.dockerfile.stage_plan import Stage, StagePlan
from minidock.errors import ExpansionError


@dataclass(frozen=True, slots=True)
class Target:
    """A stage that can be built; ``name`` is empty if it has none, ``base`` as written; lines are those of its FROM."""

    name: str
    description: str
    base: str
    platform: str
    is_default: bool
    line: int
    last: int = 0


@dataclass(frozen=True, slots=True)
class TargetList:
    """The stages of a Dockerfile, and its text."""

    targets: tuple[Target, ...]
    source: str


@dataclass(frozen=True, slots=True)
class BuildArg:
    """An argument that a target takes, with the value it has now."""

    name: str
    value: str
    description: str
    line: int
    last: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A secret or an ssh agent that a target uses."""

    id: str
    is_required: bool
    line: int
    last: int = 0


@dataclass(frozen=True, slots=True)
class Outline:
    """What a target takes, by line."""

    name: str
    description: str
    args: tuple[BuildArg, ...]
    secrets: tuple[Wanted, ...]
    ssh: tuple[Wanted, ...]
    source: str = ""


def targets(dockerfile: Dockerfile, instructions: Sequence[Instruction]) -> tuple[Target, ...]:
    """Return every stage, the last one being what is built if none is named."""
    froms = [item for item in instructions if isinstance(item, From)]
    comments = _comments(dockerfile)
    return tuple(
        Target(
            from_.name,
            description(comments.get(from_.first, ()), from_.name),
            from_.base,
            from_.platform,
            from_ is froms[-1],
            from_.first,
            from_.last,
        )
        for from_ in froms
    )


def description(comments: Iterable[str], name: str) -> str:
    """Return what the comments above an instruction say of ``name``: ``# name what it is for``."""
    found = (line.removeprefix(f"{name} ") for line in comments if name and line.startswith(f"{name} "))
    return next(found, "")


def outline(plan: StagePlan, instructions: Sequence[Instruction], index: int, build_args: Mapping[str, str]) -> Outline:
    """Return what the stage ``index`` and those that it needs take. Raises: DockerfileError."""
    comments = _comments(plan.dockerfile)
    wanted = stage_needs.needed(plan, index)
    found = _global_args(plan, instructions, wanted, build_args, comments)
    secrets: dict[str, Wanted] = {}
    agents: dict[str, Wanted] = {}
    scopes: dict[int, dict[str, str]] = {}
    for number in wanted:
        stage = plan.stages[number]
        scope = scopes[number] = dict(scopes[stage.base]) if isinstance(stage.base, int) else {}
        for instruction in stage.instructions:
            match instruction:
                case Arg():
                    _add_args(plan, instruction, scope, build_args, comments, found)
                case Env(pairs=pairs):
                    scope.update({name: _expanded(plan, value, scope) for name, value in pairs})
                case Run():
                    _add_mounts(plan, instruction, scope, secrets, agents)
    stage = plan.stages[index]
    return Outline(
        stage.name,
        description(comments.get(stage.from_line, ()), stage.name),
        tuple(sorted(found.values(), key=lambda arg: arg.line)),
        tuple(sorted(secrets.values(), key=lambda item: item.line)),
        tuple(sorted(agents.values(), key=lambda item: item.line)),
        plan.dockerfile.source,
    )


def _comments(dockerfile: Dockerfile) -> dict[int, tuple[str, ...]]:
    return {node.first: node.comments for node in dockerfile.nodes}


def _global_args(
    plan: StagePlan,
    instructions: Sequence[Instruction],
    wanted: Iterable[int],
    build_args: Mapping[str, str],
    comments: Mapping[int, tuple[str, ...]],
) -> dict[str, BuildArg]:
    """Return the global arguments that FROM lines of ``wanted`` stages use, and those that make their defaults."""
    known: dict[str, tuple[Arg, str | None]] = {}
    for instruction in instructions:
        if isinstance(instruction, From):
            break
        if isinstance(instruction, Arg):
            known.update({name: (instruction, default) for name, default in instruction.args})
    waiting = [name for number in wanted for name in _named_in(plan, plan.stages[number])]
    waiting += [
        name
        for number in wanted
        for item in plan.stages[number].instructions
        if isinstance(item, Arg)
        for name, default in item.args
        if default is None and name not in build_args
    ]
    found: dict[str, BuildArg] = {}
    while waiting:
        name = waiting.pop()
        if name in found or name not in known:
            continue
        arg, default = known[name]
        text = description(comments.get(arg.first, ()), name)
        found[name] = BuildArg(name, plan.global_args.get(name, ""), text, arg.first, arg.last)
        if default is not None and name not in build_args:
            waiting += words.expansion(default, plan.global_args, plan.dockerfile.escape).matched
    return found


def _named_in(plan: StagePlan, stage: Stage) -> list[str]:
    escape = plan.dockerfile.escape
    texts = (stage.from_.base, stage.from_.platform)
    return [name for text in texts for name in words.expansion(text, plan.global_args, escape).matched]


def _add_args(
    plan: StagePlan,
    arg: Arg,
    scope: dict[str, str],
    build_args: Mapping[str, str],
    comments: Mapping[int, tuple[str, ...]],
    found: dict[str, BuildArg],
) -> None:
    try:
        values = stages.resolve_args(arg, scope, build_args, plan.global_args, plan.dockerfile.escape)
    except ExpansionError as error:
        raise plan.dockerfile.error(str(error), arg.first, arg.last) from error
    scope.update(values)
    for name, default in arg.args:
        is_taken_over = default is None and name not in build_args and name in plan.global_args
        if not is_taken_over and name not in found:
            text = description(comments.get(arg.first, ()), name)
            found[name] = BuildArg(name, values.get(name, ""), text, arg.first, arg.last)


def _add_mounts(
    plan: StagePlan, run: Run, scope: Mapping[str, str], secrets: dict[str, Wanted], agents: dict[str, Wanted]
) -> None:
    for text in run.mounts:
        try:
            mount = run_mounts.parse(text, lambda word: words.expand(word, scope, plan.dockerfile.escape))
        except (InstructionError, ExpansionError) as error:
            raise plan.dockerfile.error(str(error), run.first, run.last) from error
        if mount.type in (MountType.SECRET, MountType.SSH):
            known = secrets if mount.type is MountType.SECRET else agents
            known.setdefault(mount.key, Wanted(mount.key, mount.is_required, run.first, run.last))


def _expanded(plan: StagePlan, text: str, scope: Mapping[str, str]) -> str:
    try:
        return words.expand(text, scope, plan.dockerfile.escape)
    except ExpansionError:
        return ""  # the build says so
