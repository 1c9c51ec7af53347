"""Instructions become stages: what each is built on, which of them a target needs, and where COPY --from leads.

Source: BuildKit, frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from minidock.core.dockerfile import run_mounts, words
from minidock.core.dockerfile.model import Arg, Copy, From, Instruction, Run
from minidock.core.dockerfile.parser import Dockerfile
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.platform import Platform
from minidock.core.quoting import quoted
from minidock.core.reference import Reference
from minidock.core.suggest import did_you_mean
from minidock.errors import DockerfileError, ExpansionError, InvalidPlatform, InvalidReference

SCRATCH = "scratch"
# Arguments that say something to the builder: no instruction sees their values.
NOT_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it.

    ``base`` is the index of an earlier stage or the name of an image, expanded, and ``scratch`` if ``is_scratch``.
    ``name`` is lower-cased, empty if there is none; ``platform`` is ``None`` for that of the result.
    """

    index: int
    name: str
    base: str | int
    is_scratch: bool
    platform: Platform | None
    instructions: tuple[Instruction, ...]
    from_: From

    @property
    def from_line(self) -> int:
        """The line of its FROM."""
        return self.from_.first


@dataclass(frozen=True, slots=True)
class StagePlan:
    """All stages of a file. ``global_args`` has what ``ARG name`` in a stage may take over, the predefined included."""

    dockerfile: Dockerfile
    stages: tuple[Stage, ...]
    global_args: Mapping[str, str]
    _places: Mapping[str, list[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places: dict[str, list[int]] = {}
        for stage in self.stages:
            places.setdefault(stage.name, []).append(stage.index)
        object.__setattr__(self, "_places", places)

    def named(self, name: str, before: int | None = None) -> int | None:
        """Return the index of the last stage of this name, of those before the stage ``before`` if that is given."""
        places = self._places.get(name.lower(), []) if name else []
        count = len(places) if before is None else bisect_left(places, before)
        return places[count - 1] if count else None

    def stage_at(self, line: int) -> int:
        """Return the index of the stage that a line belongs to."""
        return max(bisect_right(self.stages, line, key=lambda stage: stage.from_line) - 1, 0)

    def display_name(self, index: int) -> str:
        """Return how progress calls a stage: its name or ``stage-N``, empty if the file has one unnamed stage."""
        return self.stages[index].name or (f"stage-{index}" if len(self.stages) > 1 else "")


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


def with_contexts(plan: StagePlan, is_context: Callable[[str], bool]) -> StagePlan:
    """Return the plan with the stages that a named context stands for replaced by it.

    Such a stage keeps its place, built on the context alone, and loses its name: who asks for that gets the context.
    """
    replaced = {stage.index for stage in plan.stages if stage.name and is_context(stage.name)}
    if not replaced:
        return plan
    found = []
    for stage in plan.stages:
        if stage.index in replaced:
            stage = replace(stage, name="", base=stage.name, is_scratch=False, platform=None, instructions=())
        elif isinstance(stage.base, int) and stage.base in replaced:
            stage = replace(stage, base=plan.stages[stage.base].name)
        found.append(stage)
    return replace(plan, stages=tuple(found))


def resolve_target(plan: StagePlan, target: str | None) -> int:
    """Return the index of the stage that ``--target`` names, of the last stage if it names none.

    Raises: DockerfileError.
    """
    if not target:
        return len(plan.stages) - 1
    index = plan.named(target)
    if index is None:
        names = [stage.name for stage in plan.stages if stage.name]
        hint = did_you_mean(target, names, is_case_sensitive=True)
        raise plan.dockerfile.error(f"target stage {quoted(target)} could not be found{hint}")
    return index


def needed(plan: StagePlan, target_index: int) -> tuple[int, ...]:
    """Return the stages that the target needs through FROM and COPY --from, itself included, in file order.

    Raises: DockerfileError for a stage among them that copies from a later one.
    """
    found: set[int] = set()
    waiting = [target_index]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += _dependencies(plan, index)
    for index in sorted(found):
        for copy in _copies(plan.stages[index]):
            _refuse_later(plan, index, copy)
    return tuple(sorted(found))


def copy_source(plan: StagePlan, copy: Copy) -> int | str:
    """Return the stage or the image that a COPY with --from copies from.

    The stage of the COPY is told by its line. Raises: DockerfileError.
    """
    index = plan.stage_at(copy.first)
    _refuse_later(plan, index, copy)
    return _source(plan, index, copy)


def mount_source(plan: StagePlan, run: Run, name: str, target: str) -> int | str:
    """Return the stage or the image that a mount of a RUN takes its content from. Raises: DockerfileError."""
    index = plan.stage_at(run.first)
    found = plan.named(name, index)
    if found is not None:
        return found
    if plan.named(name) is not None:
        message = f"cannot mount from stage {quoted(name)} to {quoted(target)}"
        reason = "stage needs to be defined before current command"
        raise plan.dockerfile.error(f"{message}, {reason}", run.first, run.last)
    return name


def _mount_stages(plan: StagePlan, index: int) -> Iterator[int]:
    """Yield the stages that the mounts of a stage's RUN instructions name."""
    for instruction in plan.stages[index].instructions:
        if not isinstance(instruction, Run):
            continue
        for text in instruction.mounts:
            try:
                name = run_mounts.source_of(text)
            except InstructionError as error:
                raise plan.dockerfile.error(str(error), instruction.first, instruction.last) from error
            found = plan.named(name)
            if found is not None:
                yield found


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


def _copies(stage: Stage) -> Iterator[Copy]:
    return (item for item in stage.instructions if isinstance(item, Copy) and item.from_)


def _source(plan: StagePlan, index: int, copy: Copy) -> int | str:
    """Return what --from means in the stage ``index``: an earlier stage, else a later one (an error), else an image."""
    name = copy.from_
    if name[:1] == "-" and name[1:].isascii() and name[1:].isdigit():
        raise _copy_error(plan, copy, f"invalid stage index {name}")
    if "$" in name:
        raise _copy_error(
            plan,
            copy,
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope "
            "as a workaround",
        )
    if name.isascii() and name.isdigit():
        if len(name) > 9 or int(name) >= len(plan.stages):
            raise _copy_error(plan, copy, f"invalid stage index {name}")
        return int(name)
    earlier = plan.named(name, index)
    if earlier is not None:
        return earlier
    later = plan.named(name)
    return name if later is None else later


def _refuse_later(plan: StagePlan, index: int, copy: Copy) -> None:
    source = _source(plan, index, copy)
    if isinstance(source, int) and source >= index:
        current = quoted(plan.stages[index].name or f"stage-{index}")
        order = f"it needs to be defined before current stage {current}"
        raise _copy_error(plan, copy, f"cannot copy from stage {quoted(copy.from_)}, {order}")


def _copy_error(plan: StagePlan, copy: Copy, message: str) -> DockerfileError:
    return plan.dockerfile.error(message, copy.first, copy.last)


def _dependencies(plan: StagePlan, index: int) -> list[int]:
    stage = plan.stages[index]
    sources = [stage.base, *(_source(plan, index, copy) for copy in _copies(stage))]
    mounted = (source for source in _mount_stages(plan, index) if source < index)  # a later one is refused in its place
    return [source for source in sources if isinstance(source, int)] + list(mounted)


def refuse_circles(plan: StagePlan) -> None:
    """Raise the error that names the first stage from which a circle can be reached."""
    dependencies = [_known_dependencies(plan, stage.index) for stage in plan.stages]
    finished: set[int] = set()
    for stage in plan.stages:
        if _reaches_circle(stage.index, dependencies, finished):
            name = stage.name or f"stage-{stage.index}"
            message = f"circular dependency detected on stage: {name}"
            raise plan.dockerfile.error(message, stage.from_.first, stage.from_.last)


def _known_dependencies(plan: StagePlan, index: int) -> list[int]:
    """Return the dependencies of a stage; a bad --from counts only if the stage is needed."""
    stage = plan.stages[index]
    found = [stage.base] if isinstance(stage.base, int) else []
    for copy in _copies(stage):
        try:
            source = _source(plan, index, copy)
        except DockerfileError:
            continue
        if isinstance(source, int):
            found.append(source)
    return found


def _reaches_circle(start: int, dependencies: Sequence[Sequence[int]], finished: set[int]) -> bool:
    """Tell whether a walk from ``start`` comes back to a stage it came through; ``finished`` grows by the others."""
    path: list[tuple[int, Iterator[int]]] = [(start, iter(dependencies[start]))] if start not in finished else []
    while path:
        index, following = path[-1]
        step = next(following, None)
        if step is None:
            finished.add(index)
            path.pop()
        elif any(step == passed for passed, _ in path):
            return True
        elif step not in finished:
            path.append((step, iter(dependencies[step])))
    return False
