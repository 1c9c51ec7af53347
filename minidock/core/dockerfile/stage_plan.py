"""The stages of a Dockerfile as they are planned: their bases and names, and which one a build is to make."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import field, replace

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.model import From, Instruction
from minidock.core.dockerfile.parser import Dockerfile
from minidock.core.platform import Platform
from minidock.core.quoting import quoted
from minidock.core.suggest import did_you_mean

SCRATCH = "scratch"


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
