"""ONBUILD: what an image or stage asks of builds on top of it, put where it fires, right behind FROM.

Source: BuildKit, frontend/dockerfile/dockerfile2llb/convert.go (initOnBuildTriggers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from minidock.core.dockerfile import instructions, parser
from minidock.core.dockerfile.model import From, Instruction, Onbuild
from minidock.core.dockerfile.parser import Dockerfile
from minidock.core.dockerfile.stage_needs import refuse_circles
from minidock.core.dockerfile.stage_plan import Stage, StagePlan
from minidock.errors import DockerfileError


def with_triggers(plan: StagePlan, triggers_of: Callable[[str], Sequence[str]]) -> StagePlan:
    """Return the plan with the triggers of every base before the instructions of the stage that they fire in.

    ``triggers_of`` gives those of an image; those of a stage are its own ONBUILDs, not what fired in it. A trigger
    stands in the lines of the FROM, and its --from means what it means in this file. Raises: DockerfileError.
    """
    stages = tuple(_fired(plan, stage, triggers_of) for stage in plan.stages)
    if stages == plan.stages:
        return plan
    fired = replace(plan, stages=stages)
    refuse_circles(fired)
    return fired


def _fired(plan: StagePlan, stage: Stage, triggers_of: Callable[[str], Sequence[str]]) -> Stage:
    if stage.is_scratch:
        return stage
    if isinstance(stage.base, int):
        base = plan.stages[stage.base].instructions
        texts: Sequence[str] = [item.trigger for item in base if isinstance(item, Onbuild)]
    else:
        texts = triggers_of(stage.base)
    found = tuple(_read(plan.dockerfile, text, stage.from_) for text in texts)
    return replace(stage, instructions=(*found, *stage.instructions)) if found else stage


def _read(dockerfile: Dockerfile, text: str, from_: From) -> Instruction:
    try:
        found = instructions.read(parser.parse(text.encode("utf-8", "surrogateescape"), dockerfile.filename))
    except DockerfileError as error:
        raise dockerfile.error(f"{error} (ONBUILD of the base)", from_.first, from_.last) from error
    if len(found) != 1 or isinstance(found[0], From | Onbuild):
        raise dockerfile.error("onbuild trigger should be a single expression", from_.first, from_.last)
    return replace(found[0], first=from_.first, last=from_.last)
