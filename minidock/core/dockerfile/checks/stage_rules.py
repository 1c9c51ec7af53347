"""The checks of instructions that know what came before them in their stage and in the stages it is built on.

Every rule is a function from an `Item`, one instruction in its scope, to its hits; the scope is moved on afterwards.
Source: BuildKit, dockerfile2llb/convert.go, convert_expose.go and validations.go.
"""

from __future__ import annotations

import posixpath
import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile import words
from minidock.core.dockerfile.checks.rule import Hit, Rule
from minidock.core.dockerfile.expansion import expand
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.model import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Shell,
    Workdir,
)
from minidock.core.dockerfile.parser import Node
from minidock.core.dockerfile.stages import NOT_VARIABLES, resolve_args
from minidock.core.git_reference import is_remote
from minidock.core.quoting import quoted
from minidock.core.suggest import did_you_mean
from minidock.errors import DockerfileError, ExpansionError

_SECRET_WORDS = ("apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token")
_HARMLESS_WORDS = ("public", "file", "version")
_ONCE = (Cmd, Entrypoint, Healthcheck)
_EVERYTHING = ("*", "**", "**/*")


class Lookups(ChainMap[str, str]):
    """Variables on top of ``values``, which stay as they are; it remembers which names were asked for in vain."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__({}, values)
        self.missed: dict[str, None] = {}

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # one use: strings
        """Return a value, as dict.get does."""
        if name not in self:
            self.missed[name] = None
        return super().get(name, default)


@dataclass(slots=True)
class Scope:
    """What a stage has set so far. ``env`` has ARG values too; ``args`` are the names declared in this stage."""

    env: dict[str, str]
    has_shell: bool = False
    has_workdir: bool = False
    args: set[str] = field(default_factory=set)
    latest: dict[type[Instruction], Node] = field(default_factory=dict)

    def inherited(self) -> Scope:
        """Return the scope of a stage that is built on this one: arguments are handed on too."""
        return Scope(dict(self.env), self.has_shell, self.has_workdir, set(self.args))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build is given: its arguments, the values that ARG takes over, the ignore rules (None: no file)."""

    build_args: Mapping[str, str]
    global_args: Mapping[str, str]
    ignore: IgnoreRules | None
    escape: str


@dataclass(frozen=True, slots=True)
class Item:
    """One instruction of a stage in the scope before it; ``missed`` are the variables it names that are not set."""

    node: Node
    instruction: Instruction
    scope: Scope
    inputs: Inputs
    missed: tuple[str, ...]
    expanded: Instruction


def item_of(node: Node, instruction: Instruction, scope: Scope, inputs: Inputs) -> Item:
    """Return an instruction with its variables looked up; what cannot be expanded stays as written."""
    lookups = Lookups(scope.env)
    expanded = instruction
    try:
        if isinstance(instruction, Arg):
            _arg_defaults(instruction, lookups, inputs)
        else:
            expanded = expand(instruction, lookups, inputs.escape)
    except (DockerfileError, ExpansionError):
        pass  # the build says so
    # EXPOSE alone is expanded without anybody looking at what is missing.
    missed = () if isinstance(instruction, Expose) else tuple(lookups.missed)
    return Item(node, instruction, scope, inputs, missed, expanded)


def _arg_defaults(arg: Arg, lookups: Lookups, inputs: Inputs) -> None:
    for name, default in arg.args:
        if default is not None and name not in inputs.build_args:
            lookups.setdefault(name, words.expand(default, lookups, inputs.escape))


def move_on(item: Item) -> None:
    """Change the scope as the instruction does."""
    scope = item.scope
    match item.expanded:
        case Arg() as arg:
            try:
                found = resolve_args(
                    arg, scope.env, item.inputs.build_args, item.inputs.global_args, item.inputs.escape
                )
            except ExpansionError:
                found = {}
            scope.env.update(found)
            scope.args.update(name for name, _ in arg.args)
        case Env(pairs=pairs):
            scope.env.update(pairs)
        case Shell():
            scope.has_shell = True
        case Workdir():
            scope.has_workdir = True
    if isinstance(item.instruction, _ONCE):
        scope.latest[type(item.instruction)] = item.node


def undefined_var(item: Item) -> Iterator[Hit]:
    for name in item.missed:
        if name not in item.scope.args and name not in NOT_VARIABLES:
            hint = did_you_mean(name, item.scope.env, is_case_sensitive=True)
            yield Hit(item.node, f"Usage of undefined variable '${name}'{hint.replace('mean ', 'mean $', 1)}")


def legacy_key_value(item: Item) -> Iterator[Hit]:
    if isinstance(item.instruction, Env | Label) and item.instruction.is_legacy:
        name = item.node.name
        yield Hit(item.node, f'"{name} key=value" should be used instead of legacy "{name} key value" format')


def secrets(item: Item) -> Iterator[Hit]:
    match item.expanded:
        case Env(pairs=pairs):
            names, kind = [name for name, _ in pairs], "ENV"
        case Arg(args=args):
            names, kind = [name for name, _ in args], "ARG"
        case _:
            return
    for name in names:
        if _has_word(name, _SECRET_WORDS) and not _has_word(name, _HARMLESS_WORDS):
            yield Hit(item.node, f"Do not use ARG or ENV instructions for sensitive data ({kind} {quoted(name)})")


def _has_word(name: str, known: tuple[str, ...]) -> bool:
    return any(word in known for word in re.split("_", name.lower()))


def relative_workdir(item: Item) -> Iterator[Hit]:
    expanded = item.expanded
    if isinstance(expanded, Workdir) and not item.scope.has_workdir and not expanded.path.startswith("/"):
        detail = f"Relative workdir {quoted(expanded.path)} can have unexpected results if the base image changes"
        yield Hit(item.node, detail)


def shell_form(item: Item) -> Iterator[Hit]:
    instruction = item.instruction
    if isinstance(instruction, Cmd | Entrypoint) and instruction.command.is_shell and not item.scope.has_shell:
        reason = "to prevent unintended behavior related to OS signals"
        yield Hit(item.node, f"JSON arguments recommended for {item.node.name} {reason}")


def multiple_instructions(item: Item) -> Iterator[Hit]:
    previous = item.scope.latest.get(type(item.instruction))
    if previous is not None:  # the earlier one is to blame: it has no effect
        reason = "should not be used in the same stage because only the last one will be used"
        yield Hit(previous, f"Multiple {item.node.name} instructions {reason}", found_at=item.node)


def ignored_file(item: Item) -> Iterator[Hit]:
    expanded, ignore = item.expanded, item.inputs.ignore
    is_local = isinstance(expanded, Add) or (isinstance(expanded, Copy) and not expanded.from_)
    # With exceptions, whether a directory is left out cannot be told from the rules alone.
    if not is_local or ignore is None or any(rule.is_exception for rule in ignore.rules):
        return
    assert isinstance(expanded, Copy | Add)
    command = "Add" if isinstance(expanded, Add) else "Copy"
    for written in expanded.sources:
        if command == "Add" and is_remote(written):
            continue
        source = posixpath.normpath(written)
        source = source[1:] if source.startswith("//") else source
        if source in (".", "/"):
            is_left_out = any(rule.text in _EVERYTHING for rule in ignore.rules)
        else:
            is_left_out = ignore.is_ignored(source)
        if is_left_out:
            yield Hit(item.node, f"Attempting to {command} file {quoted(source)} that is excluded by .dockerignore")


def protocol_casing(item: Item) -> Iterator[Hit]:
    for port in _ports(item):
        protocol = port.partition("/")[2]
        if protocol != protocol.lower():
            yield Hit(item.node, f"Defined protocol '{port}' in EXPOSE instruction should be lowercase")


def exposed_mapping(item: Item) -> Iterator[Hit]:
    for port in _ports(item):
        if ":" in port:
            reason = "EXPOSE instruction should not define an IP address or host-port mapping"
            yield Hit(item.node, f"{reason}, found '{port}'")


def _ports(item: Item) -> list[str]:
    if not isinstance(item.instruction, Expose):
        return []
    try:
        return [
            port
            for text in item.instruction.ports
            for port in words.expand_words(text, item.scope.env, item.inputs.escape)
        ]
    except ExpansionError:
        return []  # the build says so


STAGE_RULES: tuple[tuple[Rule, Callable[[Item], Iterator[Hit]]], ...] = (
    (Rule("UndefinedVar", "Variables should be defined before they are used"), undefined_var),
    (Rule("LegacyKeyValueFormat", "Names and values should be joined by ="), legacy_key_value),
    (Rule("SecretsUsedInArgOrEnv", "Secrets should not be in ARG or ENV, where everybody finds them"), secrets),
    (Rule("WorkdirRelativePath", "The first WORKDIR should be absolute: the base may change"), relative_workdir),
    (Rule("JSONArgsRecommended", "CMD and ENTRYPOINT should be JSON arrays: a shell swallows signals"), shell_form),
    (Rule("MultipleInstructionsDisallowed", "An instruction should not replace another"), multiple_instructions),
    (Rule("CopyIgnoredFile", "What is copied should not be excluded by .dockerignore"), ignored_file),
    (Rule("ExposeProtoCasing", "Protocols in EXPOSE should be lowercase"), protocol_casing),
    (Rule("ExposeInvalidFormat", "EXPOSE should name ports of the container only"), exposed_mapping),
)
BASE_PLATFORM = Rule(
    "InvalidBaseImagePlatform",
    "The platform of a base image should be the one that is built for",
    is_documented=False,
    is_skippable=False,
)
