"""Splits a command line into options and arguments by docker's rules, without knowing what the options mean.

::

    --name VALUE  --name=VALUE  -n VALUE  -nVALUE  -n=VALUE
    --switch  --switch=false  -s  -s=0            a switch takes a value only after "="
    -ab  -abn VALUE                               switches combine, the last letter may take a value
    --                                            ends the options

Names are never abbreviated. Source: the Go package pflag, which docker uses, as seen from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minidock.errors import FlagError


class Flag(NamedTuple):  # see `commands.Command`
    """An option: its name without dashes, its letter or nothing, and whether it is a switch."""

    name: str
    short: str = ""
    is_switch: bool = False

    def __str__(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def scan(
    words: Sequence[str], flags: Sequence[Flag], *, stops_at_argument: bool = False
) -> Iterator[tuple[Flag | None, str]]:
    """Yield every option with its value, and every argument with None, in the order in which they stand.

    With ``stops_at_argument`` everything from the first argument on is an argument, even ``--``.
    Raises: FlagError, once everything before the mistake has been yielded.
    """
    by_name = {flag.name: flag for flag in flags}
    by_letter = {flag.short: flag for flag in flags if flag.short}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            yield _long(word, by_name, rest)
        elif word.startswith("-") and word != "-":
            yield from _cluster(word[1:], by_letter, rest)
        elif stops_at_argument:
            yield None, word
            break
        else:
            yield None, word
    yield from ((None, word) for word in rest)


def _long(word: str, by_name: dict[str, Flag], rest: list[str]) -> tuple[Flag, str]:
    """Return the option of ``--name`` and its value, which may have to be taken from ``rest``."""
    name, has_value, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise FlagError(f"bad flag syntax: {word}")
    flag = by_name.get(name)
    if flag is None:
        raise FlagError(f"unknown flag: --{name}")
    if has_value:
        return flag, value
    if flag.is_switch:
        return flag, "true"
    if not rest:
        raise FlagError(f"flag needs an argument: --{name}")
    return flag, rest.pop(0)


def _cluster(letters: str, by_letter: dict[str, Flag], rest: list[str]) -> Iterator[tuple[Flag, str]]:
    """Yield the options of ``-abc``; the last one may take its value from ``rest``."""
    while letters:
        flag = by_letter.get(letters[0])
        if flag is None:
            raise FlagError(f"unknown shorthand flag: '{letters[0]}' in -{letters}")
        tail = letters[1:]
        if tail.startswith("=") and len(tail) > 1:
            yield flag, tail[1:]
            return
        if flag.is_switch:
            yield flag, "true"
            letters = tail
            continue
        if not tail and not rest:
            raise FlagError(f"flag needs an argument: '{letters[0]}' in -{letters}")
        yield flag, tail or rest.pop(0)
        return
