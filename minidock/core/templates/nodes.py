"""What a template consists of once it is read; positions are offsets in its text."""

from __future__ import annotations

from dataclasses import field

from minidock.core.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: text, number, truth or nothing."""

    value: object


@dataclass(frozen=True, slots=True)
class Path:
    """Names looked up one after the other in ``start``: nothing for the dot, ``$x`` for a variable, or a pipeline."""

    start: str | Pipe
    names: tuple[tuple[str, int], ...]
    position: int
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function by its name."""

    name: str
    position: int


Operand = Literal | Path | Call


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function with its arguments."""

    operands: tuple[Operand, ...]
    position: int
    text: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each with the result of the one before as its last argument; the last goes into ``variables``."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """What stands outside of the braces."""

    text: str


@dataclass(frozen=True, slots=True)
class Show:
    """A pipeline whose result is printed, unless it goes into a variable."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Block:
    """``if``, ``with`` or ``range``."""

    kind: str
    pipe: Pipe
    body: tuple[Node, ...] = field(default=())
    otherwise: tuple[Node, ...] = field(default=())


Node = Text | Show | Block
