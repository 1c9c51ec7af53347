"""The ``--name=value`` words between an instruction and its arguments. Source: BuildKit, instructions/bflag.go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum

from minidock.core.dataclass import dataclass
from minidock.core.suggest import did_you_mean


class Kind(Enum):
    """What a flag takes."""

    BOOL = "bool"
    TEXT = "text"
    LIST = "list"


class InstructionFlagError(ValueError):
    """Flags that do not fit their instruction; `instructions` turns it into an error with the lines."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags given to one instruction, by name; flags that were not given are absent."""

    texts: Mapping[str, str] = field(default_factory=dict)
    bools: Mapping[str, bool] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def used(self) -> list[str]:
        """The names of the flags that were given, sorted."""
        return sorted((*self.texts, *self.bools, *self.lists))

    def text(self, name: str) -> str:
        """Return the value of a flag, empty if it was not given."""
        return self.texts.get(name, "")

    def is_set(self, name: str) -> bool:
        """Tell whether a boolean flag is true."""
        return self.bools.get(name, False)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a flag that may be repeated."""
        return self.lists.get(name, ())


_NONE = Flags()


def read_flags(words: Sequence[str], known: Mapping[str, Kind]) -> Flags:
    """Return the flags in ``words``, each of which starts with ``--``. Raises: InstructionFlagError."""
    if not words:
        return _NONE
    texts: dict[str, str] = {}
    bools: dict[str, bool] = {}
    lists: dict[str, list[str]] = {}
    for word in words:
        name, separator, value = word.removeprefix("--").partition("=")
        if name not in known:
            hint = did_you_mean(name, known, is_case_sensitive=True)
            raise InstructionFlagError(f"unknown flag: --{name}{hint}")
        if name in texts or name in bools:
            raise InstructionFlagError(f"duplicate flag specified: --{name}")
        if (known[name] is Kind.BOOL) == bool(separator) and not (known[name] is Kind.BOOL and value):
            raise InstructionFlagError(f"missing a value on flag: --{name}")
        match known[name]:
            case Kind.BOOL:
                bools[name] = _bool(name, value)
            case Kind.TEXT:
                texts[name] = value
            case Kind.LIST:
                lists.setdefault(name, []).append(value)
    return Flags(texts, bools, {name: tuple(values) for name, values in lists.items()})


def _bool(name: str, value: str) -> bool:
    if value.lower() not in ("", "true", "false"):
        raise InstructionFlagError(f"expecting boolean value for flag --{name}, not: {value}")
    return value.lower() != "false"


def split_flags(text: str) -> tuple[tuple[str, ...], str]:
    r"""Return the flags at the start of ``text``, without quotes and escapes, and the arguments behind them.

    The first word that does not start with ``--`` ends the flags, and so does ``--`` alone, which vanishes.
    The escape character is always the backslash here.
    """
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if not text.startswith("--", position):
            return tuple(flags), text[position:].strip()
        word, position = _flag_word(text, position)
        if word == "--":
            return tuple(flags), text[position:].strip()
        flags.append(word)


def _flag_word(text: str, position: int) -> tuple[str, int]:
    word: list[str] = []
    quote = ""
    while position < len(text):
        character = text[position]
        if not quote and character.isspace():
            break
        position += 1
        if character == "\\":
            word.append(text[position : position + 1])
            position += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            word.append(character)
    return "".join(word), position
