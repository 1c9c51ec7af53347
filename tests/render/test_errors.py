"""Errors as stderr shows them."""

from __future__ import annotations

import pytest

from minidock.errors import (
    ArgumentCount,
    BuildError,
    DockerfileError,
    FlagError,
    MinidockError,
    NoSuchImage,
    StepFailed,
    UsageError,
)
from minidock.render.errors import error_text, excerpt

USAGE = "minidock history [OPTIONS] IMAGE"


def test_an_error_is_one_line_and_its_hint_the_next() -> None:
    assert error_text(MinidockError("it broke")) == "minidock: it broke\n"
    assert error_text(NoSuchImage("nosuch:1")) == (
        "minidock: No such image: nosuch:1\nhint: see `minidock image ls`\n"
    )  # fmt: skip


def test_a_wrong_option_shows_the_usage() -> None:
    assert error_text(FlagError("unknown flag: --no-tr", command="minidock history", usage=USAGE)) == (
        "unknown flag: --no-tr\n"
        "\n"
        "Usage:  minidock history [OPTIONS] IMAGE\n"
        "\n"
        "Run 'minidock history --help' for more information\n"
    )


@pytest.mark.parametrize(
    ("least", "most", "words", "verb"),
    [
        (0, 0, "accepts no arguments", "Run"),
        (1, 1, "requires 1 argument", "Run"),
        (2, 2, "requires 2 arguments", "Run"),
        (1, None, "requires at least 1 argument", "See"),
        (2, None, "requires at least 2 arguments", "See"),
        (0, 1, "requires at most 1 argument", "See"),
        (1, 2, "requires at least 1 and at most 2 arguments", "See"),
    ],
)
def test_a_wrong_number_of_arguments_has_dockers_words(least: int, most: int | None, words: str, verb: str) -> None:
    error = ArgumentCount("minidock history", least=least, most=most)
    error.usage = USAGE
    assert error_text(error) == (
        f"minidock: 'minidock history' {words}\n"
        "\n"
        "Usage:  minidock history [OPTIONS] IMAGE\n"
        "\n"
        f"{verb} 'minidock history --help' for more information\n"
    )


def test_an_unknown_command_needs_no_usage() -> None:
    assert error_text(UsageError("unknown command: minidock frob")) == (
        "minidock: unknown command: minidock frob\n\nRun 'minidock --help' for more information\n"
    )


def test_a_failed_step_shows_its_output_and_its_lines() -> None:
    error = StepFailed(
        'echo before && sh -c "exit 3"',
        3,
        step_name='[2/3] RUN echo before && sh -c "exit 3"',
        tail=("0.176 before",),
        filename="Dockerfile",
        first=2,
        last=2,
        source='FROM base:1\nRUN echo before && sh -c "exit 3"\nRUN echo after\n',
    )
    assert error_text(error) == (
        "------\n"
        ' > [2/3] RUN echo before && sh -c "exit 3":\n'
        "0.176 before\n"
        "------\n"
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM base:1\n"
        '   2 | >>> RUN echo before && sh -c "exit 3"\n'
        "   3 |     RUN echo after\n"
        "   4 |     \n"
        "--------------------\n"
        'ERROR: failed to build: failed to solve: process "echo before && sh -c \\"exit 3\\"" '
        "did not complete successfully: exit code: 3\n"
    )


def test_a_mistake_in_a_dockerfile_shows_its_lines_and_its_hint() -> None:
    error = DockerfileError(
        "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
        first=2,
        source="FROM base:1\nRUNN echo hi\n",
        hint="see the list of instructions",
    )
    assert error_text(error) == (
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM base:1\n"
        "   2 | >>> RUNN echo hi\n"
        "   3 |     \n"
        "--------------------\n"
        "ERROR: failed to build: failed to solve: "
        "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)\n"
        "hint: see the list of instructions\n"
    )


@pytest.mark.parametrize("first", [0, 9])
def test_without_a_line_there_is_no_excerpt(first: int) -> None:
    error = DockerfileError("the Dockerfile cannot be empty", first=first, source="FROM a\n")
    assert error_text(error) == "ERROR: failed to build: failed to solve: the Dockerfile cannot be empty\n"


def test_a_build_that_never_began_says_so() -> None:
    assert error_text(BuildError('unable to prepare context: path "no" not found')) == (
        'ERROR: failed to build: unable to prepare context: path "no" not found\n'
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "numbers", "marked"),
    [
        (1, 1, [1, 2, 3], [1]),
        (3, 3, [1, 2, 3, 4, 5], [3]),
        (6, 6, [4, 5, 6], [6]),
        (3, 4, [2, 3, 4, 5], [3, 4]),
        (1, 2, [1, 2, 3], [1, 2]),
        (5, 99, [4, 5, 6], [5, 6]),
    ],
)
def test_context_is_two_lines_or_one_around_several(
    first: int, last: int, numbers: list[int], marked: list[int]
) -> None:
    lines = excerpt("my.df", "a\nb\nc\nd\ne\nf", first, last).splitlines()
    assert lines[0] == f"my.df:{first}"
    assert [int(line[:4]) for line in lines[2:-1]] == numbers
    assert [int(line[:4]) for line in lines[2:-1] if ">>>" in line] == marked
