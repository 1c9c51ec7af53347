"""What a stage needs: where COPY --from and mounts lead, which stages a target is made from, and no circles.

Source: BuildKit, frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minidock.core.dockerfile import run_mounts
from minidock.core.dockerfile.model import Copy, Run
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.dockerfile.stage_plan import Stage, StagePlan
from minidock.core.quoting import quoted
from minidock.errors import DockerfileError


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
