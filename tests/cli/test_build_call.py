"""`build --check` and `build --call`: exit codes and what is printed; nothing is built."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from minidock.cli.app import main
from minidock.cli.build_call import Call
from minidock.errors import FlagError

TAKING = """\
# VERSION which one
ARG VERSION=1
ARG UNUSED
# build makes it
FROM scratch AS build
ARG VERSION
# MORE of it
ARG MORE=$VERSION.$PLACE
ARG PLACE=2
RUN --mount=type=secret,id=token,required --mount=type=ssh true
FROM build
ARG LAST
RUN --mount=type=secret,target=/run/file true
"""


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIDOCK_ROOT", str(tmp_path / "store"))
    directory = tmp_path / "context"
    directory.mkdir()
    return directory


def lines(*numbers: int) -> dict[str, Any]:
    """Return a location as BuildKit has it."""
    return {"ranges": [{"start": {"line": number}, "end": {"line": number}} for number in numbers]}


def asked(context: Path, dockerfile: str, *words: str) -> int:
    (context / "Dockerfile").write_text(dockerfile)
    return main(["build", *words, str(context)])


def test_a_clean_file_is_said_to_be_clean(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(context, 'FROM scratch\nCMD ["a"]\n', "--check") == 0
    assert capsys.readouterr().out == "Check complete, no warnings found.\n"
    assert not (context.parent / "store").exists()


def test_findings_come_with_their_lines_and_fail_the_check(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "FROM scratch\nCMD echo hello\n"
    assert asked(context, text, "--call=check,ignorestatus") == 0
    capsys.readouterr()
    assert asked(context, text, "--check") == 1
    assert capsys.readouterr().out == (
        "Check complete, 1 warning has been found!\n"
        "\n"
        "WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n"
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM scratch\n"
        "   2 | >>> CMD echo hello\n"
        "   3 |     \n"
        "--------------------\n"
    )


def test_what_stops_a_build_is_told_beside_the_findings(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(context, "FROM --platform=linux/$NONE scratch AS Up\n", "--call=check,format=json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert [item["ruleName"] for item in answer["warnings"]] == ["StageNameCasing", "UndefinedArgInFrom"]
    assert answer["buildError"]["location"]["ranges"][0]["start"] == {"line": 1}


def test_an_outline_names_arguments_secrets_and_agents(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(context, TAKING, "--call=outline", "--build-arg", "PLACE=9") == 0
    assert capsys.readouterr().out == (
        "BUILD ARG   VALUE   DESCRIPTION\n"
        "VERSION     1       which one\n"
        "MORE        1.      of it\n"
        "PLACE       9       \n"
        "LAST                \n"
        "\n"
        "SECRET   REQUIRED\n"
        "token    true\n"
        "file     \n"
        "\n"
        "SSH       REQUIRED\n"
        "default   \n"
        "\n"
    )
    assert asked(context, TAKING, "--call=outline,format=json", "--target=build") == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "build",
        "description": "makes it",
        "args": [
            {"name": "VERSION", "description": "which one", "value": "1", "location": lines(2)},
            {"name": "MORE", "description": "of it", "value": "1.", "location": lines(8)},
            {"name": "PLACE", "value": "2", "location": lines(9)},
        ],
        "secrets": [{"name": "token", "required": True, "location": lines(10)}],
        "ssh": [{"name": "default", "location": lines(10)}],
        "sources": [b64encode(TAKING.encode()).decode()],
    }


def test_an_outline_of_nothing_is_the_dockerfile(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(context, "FROM scratch\n", "--call=outline,format=json") == 0
    assert json.loads(capsys.readouterr().out) == {"sources": ["RlJPTSBzY3JhdGNoCg=="]}


def test_findings_as_json_have_a_range_for_every_line(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "FROM scratch\nCMD echo \\\n  hello\n"
    assert asked(context, text, "--check", "--call=check,format=json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["warnings"][0]["location"] == lines(2, 3)
    assert answer["sources"] == [
        {"filename": "Dockerfile", "data": b64encode(text.encode()).decode(), "language": "Dockerfile"}
    ]


def test_targets_are_the_stages(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(context, TAKING, "--call=targets") == 0
    assert capsys.readouterr().out == "TARGET    DESCRIPTION\nbuild     makes it\n(default) \n"
    assert asked(context, TAKING, "--call=targets,format=json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "targets": [
            {"name": "build", "description": "makes it", "base": "scratch", "location": lines(5)},
            {"default": True, "base": "build", "location": lines(11)},
        ],
        "sources": [b64encode(TAKING.encode()).decode()],
    }


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("check", Call("check")),
        ("lint", Call("check")),
        ("targets,format=json", Call("targets", is_json=True)),
        ("format=text,outline", Call("outline")),
    ],
)
def test_the_option_is_read(text: str, call: Call) -> None:
    assert Call.parse(text) == call


@pytest.mark.parametrize("text", ["foo", "check,format=xml", '"'])
def test_other_methods_are_refused(text: str) -> None:
    with pytest.raises(FlagError, match="invalid --call"):
        Call.parse(text)


def test_findings_that_are_errors_stop_a_build(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(context, "# check=error=true\nFROM scratch AS X\n", "--progress=plain") == 1
    assert "ERROR: failed to build: failed to solve: lint violation found for rules: StageNameCasing\n" in (
        capsys.readouterr().err
    )
