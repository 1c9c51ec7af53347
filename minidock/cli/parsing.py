"""Calls a command's function with what its command line says, by docker's rules instead of Click's.

A command is a plain function whose parameters are declared with ``Annotated[..., typer.Option/Argument]``. Honoured
are the names of an option, ``help``, ``metavar``, ``hidden``, ``show_default`` and ``parser``, and these types: bool
(a switch), str, int, float, Path, an Enum of strings, ``| None`` of them, ``list[...]`` and ``tuple[..., ...]`` (an
option that may be repeated; the rest of the arguments). A parameter that the line does not mention keeps its default.
A parameter whose type is a dataclass is a group: its fields are options, and the function is given it filled. Modules
of groups do without ``from __future__ import annotations``: to compile the types of 100 options again and again took
5 ms of every `run`.

This is the only module that reads what Typer keeps of a declaration.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union

from typer.models import ArgumentInfo, OptionInfo

from minidock.cli.flags import Flag, scan
from minidock.cli.values import parse_bool, parse_choice, parse_float, parse_int
from minidock.core.dataclass import dataclass
from minidock.core.quoting import quoted
from minidock.errors import ArgumentCount, FlagError, MinidockError

Convert = Callable[[str], Any]
Collect = Callable[[list[Any]], Any]

# Two flags, because -h may be an option of the command (the host name of `run`) and is deprecated where it is not.
_HELP = Flag("help", is_switch=True)
_SHORT_HELP = Flag("", "h", is_switch=True)
_TYPE_NAMES: dict[Any, str] = {bool: "", int: "int", float: "float"}


@dataclass(frozen=True, slots=True)
class Option:
    """One declared option; of a group, if ``parameter`` reads ``GROUP.FIELD``.

    ``type_name`` and ``default_text`` are what `--help` says about its value. ``collect`` makes a list or a tuple
    of the values of an option that may be repeated, and is None for others.
    """

    parameter: str
    flag: Flag
    convert: Convert
    collect: Collect | None
    help: str
    type_name: str
    default_text: str
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class Argument:
    """One declared argument; one with ``collect`` takes all that are left, and is the last."""

    parameter: str
    convert: Convert
    collect: Collect | None
    is_required: bool
    usage: str


@dataclass(frozen=True, slots=True)
class Signature:
    """What a command takes, and the first line of its docstring."""

    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    summary: str
    groups: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def usage(self) -> str:
        """What follows the command's name in its usage line."""
        words = ["[OPTIONS]"] if any(not option.is_hidden for option in self.options) else []
        return " ".join([*words, *(argument.usage for argument in self.arguments)])


class HelpWanted(Exception):
    """The command line asks for help; ``is_by_letter`` if with ``-h``, which docker has deprecated."""

    def __init__(self, *, is_by_letter: bool) -> None:
        super().__init__("help")
        self.is_by_letter = is_by_letter


def signature_of(function: Callable[..., Any]) -> Signature:
    """Return what ``function`` declares, options sorted by name, arguments in order."""
    options, arguments = [], []
    groups = {}
    for name, hint, default in _parameters(function):
        if is_dataclass(hint) and isinstance(hint, type):
            groups[name] = hint
            options += [_member(name, *member) for member in _members(hint)]
            continue
        base, info = _declaration(name, hint)
        base, collect = _element(base)
        if isinstance(info, OptionInfo):
            options.append(_option(name, base, info, default, collect))
        else:
            is_required = default is inspect.Parameter.empty
            usage = _argument_usage(info.metavar or name.upper(), may_repeat=bool(collect), is_required=is_required)
            arguments.append(Argument(name, info.parser or _converter(base), collect, is_required, usage))
    summary = (inspect.getdoc(function) or "").partition("\n")[0].removesuffix(".")
    return Signature(tuple(sorted(options, key=lambda option: option.flag.name)), tuple(arguments), summary, groups)


def _parameters(function: Callable[..., Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, type, default) for every parameter of a function."""
    hints = typing.get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        yield name, hints[name], parameter.default


def _members(group: type) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, type, default) for every field of a dataclass, each of which has a default."""
    members = fields(group)
    hints = {member.name: member.type for member in members}
    if any(isinstance(hint, str) for hint in hints.values()):
        hints = typing.get_type_hints(group, include_extras=True)
    for member in members:
        yield member.name, hints[member.name], member.default


def _member(group: str, name: str, hint: Any, default: Any) -> Option:
    base, info = _declaration(name, hint)
    base, collect = _element(base)
    if not isinstance(info, OptionInfo):
        raise TypeError(f"field {name!r} of an option group is not declared as an option")
    option = _option(name, base, info, default, collect)
    return replace(option, parameter=f"{group}.{name}")


def parse(
    words: Sequence[str], signature: Signature, *, command: str, stops_at_argument: bool = False
) -> dict[str, Any]:
    """Return the values of the parameters that the command line mentions, by name.

    Raises: FlagError, ArgumentCount (of ``command``), HelpWanted once every option before it has been checked.
    """
    options: dict[Flag, Option] = {option.flag: option for option in signature.options}
    flags = [*options, _HELP]
    if all(flag.short != _SHORT_HELP.short for flag in options):
        flags.append(_SHORT_HELP)
    values: dict[str, Any] = {}
    given: list[str] = []
    help_wanted: HelpWanted | None = None
    for flag, text in scan(words, flags, stops_at_argument=stops_at_argument):
        if flag is None:
            given.append(text)
        elif flag in (_HELP, _SHORT_HELP):
            help_wanted = HelpWanted(is_by_letter=flag is _SHORT_HELP) if _convert(flag, parse_bool, text) else None
        else:
            option = options[flag]
            value = _convert(flag, option.convert, text)
            values[option.parameter] = [*values.get(option.parameter, ()), value] if option.collect else value
    if help_wanted is not None:
        raise help_wanted
    for option in signature.options:
        if option.collect and option.parameter in values:
            values[option.parameter] = option.collect(values[option.parameter])
    grouped = {name: _fill(name, make, values) for name, make in signature.groups.items()}
    alone = {name: value for name, value in values.items() if "." not in name}
    return alone | grouped | _convert_arguments(given, signature.arguments, command)


def _fill(group: str, make: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    members = [(name.partition(".")[2], value) for name, value in values.items() if name.startswith(f"{group}.")]
    return make(**dict(members))


def _declaration(name: str, hint: Any) -> tuple[Any, OptionInfo | ArgumentInfo]:
    """Return the type of a parameter and what Typer was told about it."""
    if typing.get_origin(hint) is Annotated:
        base, *extras = typing.get_args(hint)
        for extra in extras:
            if isinstance(extra, OptionInfo | ArgumentInfo):
                return base, extra
    raise TypeError(f"parameter {name!r} is declared neither as an option nor as an argument")


def _element(base: Any) -> tuple[Any, Collect | None]:
    """Return the type of one value, and what makes one of several of them."""
    origin, parts = typing.get_origin(base), typing.get_args(base)
    if origin in (Union, types.UnionType):
        (base,) = (part for part in parts if part is not types.NoneType)
        return _element(base)
    if origin in (list, tuple):
        return parts[0], origin
    return base, None


def _converter(base: Any) -> Convert:
    known: Mapping[Any, Convert] = {bool: parse_bool, str: str, int: parse_int, float: parse_float, Path: Path}
    if base in known:
        return known[base]
    if issubclass(base, Enum):
        return lambda text: base(parse_choice(text, (str(choice.value) for choice in base)))
    raise TypeError(f"values of type {base!r} need a parser")


def _option(name: str, base: Any, info: OptionInfo, default: Any, collect: Collect | None) -> Option:
    # In Annotated the first name of an option stands where its default used to be declared.
    declared = [word for word in (info.default, *(info.param_decls or ())) if isinstance(word, str)]
    long = next((word[2:] for word in declared if word.startswith("--")), name.replace("_", "-"))
    short = next((word[1:] for word in declared if not word.startswith("--")), "")
    is_switch = base is bool and collect is None
    type_name = info.metavar or ("list" if collect else _TYPE_NAMES.get(base, "string"))
    return Option(
        parameter=name,
        flag=Flag(long, short, is_switch),
        convert=info.parser or _converter(base),
        collect=collect,
        help=info.help or "",
        type_name="" if is_switch else type_name,
        default_text=_default_text(default) if info.show_default and info.parser is None else "",
        is_hidden=info.hidden,
    )


def _default_text(default: Any) -> str:
    """Return how `--help` shows a default; nothing for those that mean nothing."""
    if isinstance(default, Enum):
        default = str(default.value)
    if not default or default is inspect.Parameter.empty or isinstance(default, list | tuple):
        return ""
    return quoted(default) if isinstance(default, str) else str(default).lower()


def _argument_usage(metavar: str, *, may_repeat: bool, is_required: bool) -> str:
    """Return an argument in a usage line: ``IMAGE [IMAGE...]``; a ``metavar`` of several words is one already."""
    if " " in metavar or "[" in metavar:
        return metavar
    if may_repeat:
        return f"{metavar} [{metavar}...]" if is_required else f"[{metavar}...]"
    return metavar if is_required else f"[{metavar}]"


def _convert(flag: Flag, convert: Convert, text: str) -> Any:
    try:
        return convert(text)
    except (MinidockError, ValueError) as error:
        raise FlagError(f'invalid argument {quoted(text)} for "{flag}" flag: {error}') from error


def _convert_arguments(given: Sequence[str], arguments: Sequence[Argument], command: str) -> dict[str, Any]:
    """Return the arguments by parameter. Raises: ArgumentCount."""
    least = sum(argument.is_required for argument in arguments)
    most = None if any(argument.collect for argument in arguments) else len(arguments)
    if len(given) < least or (most is not None and len(given) > most):
        raise ArgumentCount(command, least=least, most=most)
    values: dict[str, Any] = {}
    left = list(given)
    for argument in arguments:
        if argument.collect and left:
            values[argument.parameter] = argument.collect([argument.convert(text) for text in left])
        elif left:
            values[argument.parameter] = argument.convert(left.pop(0))
    return values
