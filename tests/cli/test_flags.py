"""How a command line is split, by docker's rules."""

from __future__ import annotations

import pytest

from minidock.cli.flags import Flag, scan
from minidock.errors import FlagError

INTERACTIVE = Flag("interactive", "i", is_switch=True)
TTY = Flag("tty", "t", is_switch=True)
VOLUME = Flag("volume", "v")
NAME = Flag("name")
FLAGS = (INTERACTIVE, TTY, VOLUME, NAME)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--name", "x", "a"], [(NAME, "x"), (None, "a")]),
        (["--name=x", "--name="], [(NAME, "x"), (NAME, "")]),
        (["--name", "--tty"], [(NAME, "--tty")]),
        (["--name=a=b"], [(NAME, "a=b")]),
        (["-v", "/a:/b", "-v/c", "-v=/d", "-v="], [(VOLUME, "/a:/b"), (VOLUME, "/c"), (VOLUME, "/d"), (VOLUME, "=")]),
        (["-it"], [(INTERACTIVE, "true"), (TTY, "true")]),
        (["-itv", "/a:/b"], [(INTERACTIVE, "true"), (TTY, "true"), (VOLUME, "/a:/b")]),
        (["-itv/a"], [(INTERACTIVE, "true"), (TTY, "true"), (VOLUME, "/a")]),
        (["-it=f"], [(INTERACTIVE, "true"), (TTY, "f")]),
        (["--tty=false", "--tty", "false"], [(TTY, "false"), (TTY, "true"), (None, "false")]),
        (["a", "-t", "b", "--", "-t", "--"], [(None, "a"), (TTY, "true"), (None, "b"), (None, "-t"), (None, "--")]),
        (["-", ""], [(None, "-"), (None, "")]),
    ],
)
def test_options_and_arguments_come_in_their_order(words: list[str], expected: list[tuple[Flag | None, str]]) -> None:
    assert list(scan(words, FLAGS)) == expected


def test_the_rest_of_the_line_can_belong_to_the_container() -> None:
    words = ["-t", "image", "--tty", "--", "-v"]
    assert list(scan(words, FLAGS, stops_at_argument=True)) == [
        (TTY, "true"), (None, "image"), (None, "--tty"), (None, "--"), (None, "-v")
    ]  # fmt: skip


def test_a_double_dash_ends_the_options_before_the_container_begins() -> None:
    assert list(scan(["--", "-t", "x"], FLAGS, stops_at_argument=True)) == [(None, "-t"), (None, "x")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nam", "x"], "unknown flag: --nam"),
        (["--nam=x"], "unknown flag: --nam"),
        (["-Z"], "unknown shorthand flag: 'Z' in -Z"),
        (["-iZt"], "unknown shorthand flag: 'Z' in -Zt"),
        (["-i="], "unknown shorthand flag: '=' in -="),
        (["--name"], "flag needs an argument: --name"),
        (["-iv"], "flag needs an argument: 'v' in -v"),
        (["--=x"], "bad flag syntax: --=x"),
        (["---name"], "bad flag syntax: ---name"),
    ],
)
def test_mistakes_have_dockers_words(words: list[str], message: str) -> None:
    with pytest.raises(FlagError) as caught:
        list(scan(words, FLAGS))
    assert str(caught.value) == message
