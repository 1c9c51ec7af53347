from __future__ import annotations

from typing import Any

import pytest

from minidock.core.dockerfile import instructions, stage_needs, stage_plan, stages
from minidock.core.dockerfile.instructions import Arg, Copy, expand
from minidock.core.dockerfile.parser import parse
from minidock.core.dockerfile.stage_plan import StagePlan
from minidock.core.platform import Platform
from minidock.errors import DockerfileError, ExpansionError
from tests.vectors import params

PREDEFINED = {"TARGETPLATFORM": "linux/amd64", "BUILDARCH": "amd64", "TARGETARCH": "amd64"}


def plan_of(text: str, build_args: dict[str, str] | None = None) -> StagePlan:
    dockerfile = parse(text.encode(), "D")
    return stages.split(dockerfile, instructions.read(dockerfile), build_args or {}, PREDEFINED)


def test_stages_know_their_bases_by_index_or_name() -> None:
    plan = plan_of("FROM a AS Build\nRUN x\nFROM scratch\nFROM build as c\nFROM d:1\nCOPY --from=build x y\n")
    assert [(stage.index, stage.name, stage.base, stage.is_scratch, stage.from_line) for stage in plan.stages] == [
        (0, "build", "a", False, 1),
        (1, "", "scratch", True, 3),
        (2, "c", 0, False, 4),
        (3, "", "d:1", False, 5),
    ]
    assert [len(stage.instructions) for stage in plan.stages] == [1, 0, 0, 1]
    assert [plan.display_name(index) for index in range(4)] == ["build", "stage-1", "c", "stage-3"]


def test_a_single_stage_is_shown_by_its_name_only_if_it_has_one() -> None:
    assert plan_of("FROM a").display_name(0) == ""
    assert plan_of("FROM a AS x").display_name(0) == "x"


def test_of_equal_names_the_last_one_before_counts() -> None:
    plan = plan_of("FROM a AS x\nFROM x AS x\nFROM x\nCOPY --from=x a b\nFROM b AS x\n")
    assert [stage.base for stage in plan.stages] == ["a", 0, 1, "b"]
    assert stage_needs.needed(plan, 2) == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "build_args", "base"),
    [
        ("ARG V=1\nFROM a:$V", {}, "a:1"),
        ("ARG V=1\nFROM a:$V", {"V": "2"}, "a:2"),
        ("ARG V\nFROM a:${V:-3}", {}, "a:3"),
        ("ARG A=1 B=$A.2\nFROM a:$B", {}, "a:1.2"),
        ("ARG A=1\nARG B=$A.2\nFROM a:$B", {"A": "9"}, "a:9.2"),
        ("FROM a:$TARGETARCH", {}, "a:amd64"),
        ("FROM a:$TARGETARCH", {"TARGETARCH": "x"}, "a:x"),
        ("FROM a:${V:-4}", {"V": "1"}, "a:4"),
        ("ARG X=${Y:?}\nFROM a:$X", {"X": "1"}, "a:1"),
        ('FROM "a"', {}, "a"),
    ],
)
def test_only_global_arguments_are_expanded_in_from(text: str, build_args: dict[str, str], base: str) -> None:
    assert plan_of(text, build_args).stages[0].base == base


def test_global_arguments_are_there_for_stages_to_take_over() -> None:
    plan = plan_of("ARG A=1\nARG B\nARG C=2\nFROM x", {"C": "3"})
    assert plan.global_args == {**PREDEFINED, "A": "1", "C": "3"}


def test_an_argument_of_a_stage_is_resolved_in_order() -> None:
    arg = Arg((("a", "1"), ("b", "$a$e"), ("c", None), ("d", None), ("f", "${x:?}")))
    found = stages.resolve_args(arg, {"e": "E"}, {"a": "2", "f": ""}, {"c": "C", "a": "no"})
    assert found == {"a": "2", "b": "2E", "c": "C", "f": ""}
    with pytest.raises(ExpansionError):
        stages.resolve_args(arg, {}, {}, {})


@pytest.mark.parametrize("text", ["FROM Ubuntu:Focal", "FROM ubuntu AS Ubuntu\nFROM Ubuntu:Focal"])
def test_capitals_in_an_image_name_are_refused(text: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan_of(text)
    reason = "invalid reference format: repository name (library/Ubuntu) must be lowercase"
    assert str(caught.value) == f'failed to parse stage name "Ubuntu:Focal": {reason}'
    assert caught.value.first == text.count("\n") + 1


def test_the_platform_of_a_stage_is_normalized() -> None:
    plan = plan_of("FROM --platform=$TARGETPLATFORM a\nFROM --platform=linux/arm64/v8 b\nFROM c")
    assert [stage.platform for stage in plan.stages] == [Platform("linux", "amd64"), Platform("linux", "arm64"), None]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("RUN x\nFROM a", "no build stage in current context", 1),
        ("ARG x", "dockerfile contains no stages to build", 0),
        ("FROM a\nFROM $X", "base name ($X) should not be blank", 2),
        ("FROM --platform=$X a", "empty platform value from expression $X", 1),
        (
            "FROM --platform=linux/ a",
            'failed to parse platform linux/: "" is an invalid component of "linux/": invalid argument',
            1,
        ),
        ("FROM ${a", "failed to process \"${a\": syntax error: missing '}'", 1),
        ("ARG a=${b:?no}\nFROM x", 'failed to process "${b:?no}": b: no', 1),
        ("FROM a AS x\nCOPY --from=x a b", "circular dependency detected on stage: x", 1),
        (
            "FROM a AS one\nFROM a AS x\nCOPY --from=y a b\nFROM a AS y\nCOPY --from=x a b",
            "circular dependency detected on stage: x",
            2,
        ),
    ],
)
def test_a_bad_plan_names_the_line(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan_of(text)
    assert (str(caught.value), caught.value.first, caught.value.filename) == (message, line, "D")


FOUR = """\
FROM a AS base
FROM base AS build
FROM b AS unused
COPY --from=later x y
COPY --from=99 x y
FROM scratch
COPY --from=build x y
COPY --from=2image:tag x y
FROM c AS later
"""


def test_a_target_needs_the_stages_it_comes_from() -> None:
    plan = plan_of(FOUR)
    assert stage_needs.needed(plan, 3) == (0, 1, 3)
    assert stage_needs.needed(plan, stage_plan.resolve_target(plan, None)) == (4,)
    assert stage_needs.needed(plan, stage_plan.resolve_target(plan, "BASE")) == (0,)


def test_a_copy_names_a_stage_or_an_image() -> None:
    plan = plan_of("FROM a AS x\nFROM b\nCOPY --from=X p q\nCOPY --from=0 p q\nCOPY --from=img:1 p q\n")
    copies = [expand(item, {}) for item in plan.stages[1].instructions]
    assert [stage_needs.copy_source(plan, copy) for copy in copies if isinstance(copy, Copy)] == [0, 0, "img:1"]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (
            "FROM a AS one\nCOPY --from=two p q\nFROM b AS two",
            'cannot copy from stage "two", it needs to be defined before current stage "one"',
            2,
        ),
        ("FROM a\nCOPY --from=7 p q", "invalid stage index 7", 2),
        (
            "FROM a\nCOPY --from=$x p q",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope "
            "as a workaround",
            2,
        ),
    ],
)
def test_a_bad_source_of_a_needed_copy_names_the_line(text: str, message: str, line: int) -> None:
    plan = plan_of(text)
    with pytest.raises(DockerfileError) as caught:
        stage_needs.needed(plan, 0)
    assert (str(caught.value), caught.value.first) == (message, line)


def test_an_unknown_target_gets_a_suggestion() -> None:
    plan = plan_of("FROM a AS build\nFROM b")
    with pytest.raises(DockerfileError) as caught:
        stage_plan.resolve_target(plan, "bulid")
    assert str(caught.value) == 'target stage "bulid" could not be found (did you mean build?)'


UNFIT = {
    "dockerfile-errors-032": "the failing RUN needs a build",
    "dockerfile-errors-033": "the missing file needs a build",
    "dockerfile-errors-036": "the failing RUN needs a build",
}


@pytest.mark.parametrize("case", params("dockerfile-errors", UNFIT, stage=("build", "plan")))
def test_vectors_of_errors(case: dict[str, Any]) -> None:
    def evaluate() -> None:
        plan = plan_of(case["dockerfile"])
        for index in stage_needs.needed(plan, stage_plan.resolve_target(plan, case.get("target"))):
            for instruction in plan.stages[index].instructions:
                expand(instruction, {})

    if "error" in case and case["error"] is None:
        evaluate()
        return
    with pytest.raises(DockerfileError) as caught:
        evaluate()
    if "error" in case:
        assert str(caught.value) == case["error"]
    assert case.get("error_contains", "") in str(caught.value)
