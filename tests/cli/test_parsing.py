"""From a declared function and a command line to the values of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from minidock.cli.parsing import HelpWanted, parse, signature_of
from minidock.core.units import parse_size
from minidock.errors import ArgumentCount, FlagError


class Pull(StrEnum):
    ALWAYS = "always"
    MISSING = "missing"


def run(
    image: Annotated[str, typer.Argument()],
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND] [ARG...]")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Keep STDIN open")] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t")] = False,
    sig_proxy: Annotated[bool, typer.Option(help="Proxy signals")] = True,
    env: Annotated[tuple[str, ...], typer.Option("--env", "-e", help="Set variables")] = (),
    hostname: Annotated[str, typer.Option("--hostname", "-h", help="Host name")] = "",
    memory: Annotated[int, typer.Option("-m", "--memory", parser=parse_size, metavar="bytes")] = 0,
    stop_timeout: Annotated[int | None, typer.Option(help="Seconds")] = None,
    cpus: Annotated[float, typer.Option(help="Processors")] = 1.5,
    cidfile: Annotated[Path | None, typer.Option()] = None,
    pull: Annotated[Pull, typer.Option(help="When")] = Pull.MISSING,
    secret: Annotated[str, typer.Option(hidden=True)] = "s",
) -> None:
    """Create and run a container.

    More about it.
    """


def remove(images: Annotated[list[str], typer.Argument(metavar="IMAGE")]) -> None:
    """Remove images."""


def rename(old: Annotated[str, typer.Argument()], new: Annotated[str, typer.Argument()]) -> None:
    """Rename."""


def listing(name: Annotated[str, typer.Argument()] = "", all_: Annotated[bool, typer.Option("--all")] = False) -> None:
    """List."""


def parsed(function: Any, *words: str, stops: bool = False) -> dict[str, Any]:
    return parse(words, signature_of(function), command="minidock it", stops_at_argument=stops)


def test_what_the_line_does_not_mention_keeps_its_default() -> None:
    assert parsed(run, "img") == {"image": "img"}


def test_every_type_is_read() -> None:
    words = "-it=f --sig-proxy=0 -e A=1 --env=B -h box -m 1.5m --stop-timeout 010 --cpus .5 --cidfile /x --pull always"
    assert parsed(run, *words.split(), "img", "sh", "-i", stops=True) == {
        "image": "img",
        "command": ["sh", "-i"],
        "interactive": True,
        "tty": False,
        "sig_proxy": False,
        "env": ("A=1", "B"),
        "hostname": "box",
        "memory": 1_572_864,
        "stop_timeout": 8,
        "cpus": 0.5,
        "cidfile": Path("/x"),
        "pull": Pull.ALWAYS,
    }


def test_arguments_may_stand_before_options_where_nothing_else_runs() -> None:
    assert parsed(remove, "a", "b") == {"images": ["a", "b"]}
    assert parsed(listing, "x", "--all") == {"name": "x", "all_": True}
    assert parsed(listing, "--", "--all") == {"name": "--all"}


@pytest.mark.parametrize(
    ("function", "words", "message"),
    [
        (remove, [], "'minidock it' requires at least 1 argument"),
        (rename, ["a"], "'minidock it' requires 2 arguments"),
        (rename, ["a", "b", "c"], "'minidock it' requires 2 arguments"),
        (listing, ["a", "b"], "'minidock it' requires at most 1 argument"),
        (run, [], "'minidock it' requires at least 1 argument"),
    ],
)
def test_arguments_are_counted(function: Any, words: list[str], message: str) -> None:
    with pytest.raises(ArgumentCount) as caught:
        parsed(function, *words)
    assert (str(caught.value), caught.value.exit_code) == (message, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-m", "1x"], "invalid argument \"1x\" for \"-m, --memory\" flag: invalid suffix: 'x'"),
        (["--tty=maybe"], 'invalid argument "maybe" for "-t, --tty" flag: '
                          'strconv.ParseBool: parsing "maybe": invalid syntax'),
        (["--cpus", "x"], 'invalid argument "x" for "--cpus" flag: strconv.ParseFloat: parsing "x": invalid syntax'),
        (["--pull", "x"], 'invalid argument "x" for "--pull" flag: must be one of "always", "missing"'),
        (["--help=x"], 'invalid argument "x" for "--help" flag: strconv.ParseBool: parsing "x": invalid syntax'),
        (["-m", "1x", "--nope"], "invalid argument \"1x\" for \"-m, --memory\" flag: invalid suffix: 'x'"),
        (["--help", "--nope"], "unknown flag: --nope"),
    ],
)  # fmt: skip
def test_the_first_mistake_on_the_line_is_the_one_that_is_told(words: list[str], message: str) -> None:
    with pytest.raises(FlagError) as caught:
        parsed(run, *words, "img")
    assert (str(caught.value), caught.value.exit_code) == (message, 125)


def test_help_comes_before_the_arguments_are_counted() -> None:
    with pytest.raises(HelpWanted) as by_name:
        parsed(remove, "--help")
    with pytest.raises(HelpWanted) as by_letter:
        parsed(remove, "-h")
    assert (by_name.value.is_by_letter, by_letter.value.is_by_letter) == (False, True)
    assert parsed(remove, "--help=false", "a") == {"images": ["a"]}


@pytest.mark.parametrize(
    ("function", "usage"),
    [
        (run, "[OPTIONS] IMAGE [COMMAND] [ARG...]"),
        (remove, "IMAGE [IMAGE...]"),
        (rename, "OLD NEW"),
        (listing, "[OPTIONS] [NAME]"),
    ],
)
def test_the_usage_line_follows_from_the_declaration(function: Any, usage: str) -> None:
    assert signature_of(function).usage == usage


def test_a_declaration_says_what_help_shows_sorted_by_name() -> None:
    signature = signature_of(run)
    shown = [(str(option.flag), option.type_name, option.help, option.default_text) for option in signature.options]
    assert signature.summary == "Create and run a container"
    assert shown == [
        ("--cidfile", "string", "", ""),
        ("--cpus", "float", "Processors", "1.5"),
        ("-e, --env", "list", "Set variables", ""),
        ("-h, --hostname", "string", "Host name", ""),
        ("-i, --interactive", "", "Keep STDIN open", ""),
        ("-m, --memory", "bytes", "", ""),
        ("--pull", "string", "When", '"missing"'),
        ("--secret", "string", "", '"s"'),
        ("--sig-proxy", "", "Proxy signals", "true"),
        ("--stop-timeout", "int", "Seconds", ""),
        ("-t, --tty", "", "", ""),
    ]
    assert [option.flag.name for option in signature.options if option.is_hidden] == ["secret"]


def test_a_parameter_that_is_neither_option_nor_argument_is_a_mistake_of_ours() -> None:
    def wrong(name: str) -> None: ...

    def strange(value: Annotated[bytes, typer.Argument()]) -> None: ...

    with pytest.raises(TypeError, match="neither as an option nor as an argument"):
        signature_of(wrong)
    with pytest.raises(TypeError, match="need a parser"):
        signature_of(strange)


@dataclass(frozen=True)
class Limits:
    memory: Annotated[int, typer.Option("--memory", "-m", parser=parse_size, metavar="bytes")] = 0
    ulimit: Annotated[tuple[str, ...], typer.Option("--ulimit", help="Limits")] = ()


def grouped(
    limits: Limits, image: Annotated[str, typer.Argument()], quiet: Annotated[bool, typer.Option()] = False
) -> None:
    """Group."""


@pytest.mark.parametrize(
    ("words", "limits"),
    [((), Limits()), (("-m", "1k", "--ulimit", "a", "--ulimit=b"), Limits(1024, ("a", "b")))],
)
def test_options_of_a_group_arrive_as_one_value(words: tuple[str, ...], limits: Limits) -> None:
    assert parsed(grouped, *words, "--quiet", "img") == {"limits": limits, "image": "img", "quiet": True}
    assert [option.flag.name for option in signature_of(grouped).options] == ["memory", "quiet", "ulimit"]
