"""Nodes become instructions: flags and arguments checked, in BuildKit's words where they are wrong.

The values themselves are in `model`; they can be had from here too, and so can `expand`.
Source: BuildKit, frontend/dockerfile/instructions/parse.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from minidock.core.dockerfile.expansion import expand
from minidock.core.dockerfile.flags import Flags, InstructionFlagError, Kind, read_flags
from minidock.core.dockerfile.health import read_healthcheck
from minidock.core.dockerfile.heredocs import Heredoc, match_heredoc
from minidock.core.dockerfile.model import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from minidock.core.dockerfile.parser import Dockerfile, Node
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.quoting import quoted
from minidock.core.suggest import did_you_mean
from minidock.errors import ExpansionError

__all__ = [
    "Add",
    "Arg",
    "Cmd",
    "Command",
    "Copy",
    "Entrypoint",
    "Env",
    "Expose",
    "From",
    "Healthcheck",
    "Instruction",
    "Label",
    "Maintainer",
    "Onbuild",
    "Run",
    "Shell",
    "StopSignal",
    "User",
    "Volume",
    "Workdir",
    "expand",
    "read",
]

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_ONBUILD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)


def read(dockerfile: Dockerfile) -> tuple[Instruction, ...]:
    """Return the instructions of a file in order; nothing is expanded yet.

    Raises: DockerfileError, ``dockerfile parse error on line N: `` and what is wrong with the first bad instruction.
    """
    instructions: list[Instruction] = []
    for node in dockerfile.nodes:
        try:
            instruction = _read_node(node)
        except (InstructionError, InstructionFlagError, ExpansionError) as error:
            message = f"dockerfile parse error on line {node.first}: {error}"
            raise dockerfile.error(message, node.first, node.last) from error
        instructions.append(replace(instruction, first=node.first, last=node.last, original=node.original.strip()))
    return tuple(instructions)


def _read_node(node: Node) -> Instruction:
    reader = _READERS.get(node.keyword)
    if reader is None:
        hint = did_you_mean(node.name, sorted(_READERS))
        raise InstructionError(f"unknown instruction: {node.name}{hint}")
    return reader(node)


def _flags(node: Node, **known: Kind) -> Flags:
    return read_flags(node.flags, {name.replace("_", "-"): kind for name, kind in known.items()})


def _at_least_one(node: Node) -> None:
    if not node.args:
        raise InstructionError(f"{node.keyword.upper()} requires at least one argument")


def _only_argument(node: Node) -> str:
    if len(node.args) != 1:
        raise InstructionError(f"{node.keyword.upper()} requires exactly one argument")
    _flags(node)
    return node.args[0]


def _from(node: Node) -> From:
    args = node.args
    if len(args) == 3 and args[1].lower() == "as":
        name = args[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise InstructionError(
                f"invalid name for build stage: {quoted(args[2])}, name can't start with a number or contain symbols"
            )
    elif len(args) == 1:
        name = ""
    else:
        raise InstructionError("FROM requires either one or three arguments")
    return From(args[0], name, _flags(node, platform=Kind.TEXT).text("platform"))


def _arg(node: Node) -> Arg:
    _at_least_one(node)
    _flags(node)
    pairs: list[tuple[str, str | None]] = []
    for word in node.args:
        name, separator, value = word.partition("=")
        if not name:
            raise InstructionError("ARG names can not be blank")
        pairs.append((name, value if separator else None))
    return Arg(tuple(pairs))


def _pairs(node: Node) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Return the keys and values of an ENV or LABEL and whether they are in the legacy form."""
    _flags(node)
    _at_least_one(node)
    keys, values, separators = node.args[::3], node.args[1::3], node.args[2::3]
    if not all(keys):
        raise InstructionError(f"{node.keyword.upper()} names can not be blank")
    return tuple(zip(keys, values, strict=True)), not all(separators)


def _env(node: Node) -> Env:
    return Env(*_pairs(node))


def _label(node: Node) -> Label:
    return Label(*_pairs(node))


def _files(node: Node) -> tuple[tuple[str, ...], str, tuple[Heredoc, ...]]:
    """Return the paths, the destination and the heredocs of a COPY or ADD."""
    *sources, destination = node.args
    if match_heredoc(destination) is not None and not node.is_json:
        raise InstructionError(f"{node.keyword.upper()} cannot accept a heredoc as a destination")
    bodies = {heredoc.name: heredoc for heredoc in node.heredocs}
    paths: list[str] = []
    found: list[Heredoc] = []
    for source in sources:
        opening = None if node.is_json else match_heredoc(source)
        if opening is None or opening.name not in bodies:
            paths.append(source)
        else:
            found.append(bodies[opening.name])
    return tuple(paths), destination, tuple(found)


def _require_destination(node: Node) -> None:
    if len(node.args) < 2:
        raise InstructionError(
            f"{node.keyword.upper()} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )


def _copy(node: Node) -> Copy:
    _require_destination(node)
    known = {"from": Kind.TEXT, "chown": Kind.TEXT, "chmod": Kind.TEXT, "link": Kind.BOOL, "parents": Kind.BOOL}
    flags = read_flags(node.flags, {**known, "exclude": Kind.LIST})
    return Copy(
        *_files(node),
        from_=flags.text("from"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.is_set("link"),
        parents=flags.is_set("parents"),
        excludes=flags.all("exclude"),
    )


def _add(node: Node) -> Add:
    _require_destination(node)
    flags = _flags(
        node,
        chown=Kind.TEXT,
        chmod=Kind.TEXT,
        link=Kind.BOOL,
        keep_git_dir=Kind.BOOL,
        checksum=Kind.TEXT,
        unpack=Kind.BOOL,
        exclude=Kind.LIST,
    )
    return Add(
        *_files(node),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.is_set("link"),
        keep_git_dir=flags.bools.get("keep-git-dir"),
        checksum=flags.text("checksum"),
        unpack=flags.bools.get("unpack"),
        excludes=flags.all("exclude"),
    )


def _command(node: Node) -> Command:
    """Return what is to run; without arguments that is a shell with nothing to do, ``[]`` is no command at all."""
    return Command(node.args if node.args or node.is_json else ("",), is_shell=not node.is_json)


def _run(node: Node) -> Run:
    flags = _flags(node, mount=Kind.LIST, network=Kind.TEXT, security=Kind.TEXT, device=Kind.LIST)
    network, security = flags.text("network"), flags.text("security")
    if "network" in flags.texts and network not in ("default", "none", "host"):
        raise InstructionError(f"invalid network mode {quoted(network)}")
    if "security" in flags.texts and security not in ("sandbox", "insecure"):
        raise InstructionError(f"security {quoted(security)} is not valid")
    return Run(_command(node), node.heredocs, flags.all("mount"), network, security, flags.all("device"))


def _cmd(node: Node) -> Cmd:
    _flags(node)
    return Cmd(_command(node))


def _entrypoint(node: Node) -> Entrypoint:
    _flags(node)
    return Entrypoint(_command(node))


def _shell(node: Node) -> Shell:
    _flags(node)
    _at_least_one(node)
    if not node.is_json:
        raise InstructionError("SHELL requires the arguments to be in JSON form")
    return Shell(node.args)


def _expose(node: Node) -> Expose:
    _at_least_one(node)
    _flags(node)
    return Expose(node.args)


def _volume(node: Node) -> Volume:
    _at_least_one(node)
    _flags(node)
    paths = tuple(path.strip() for path in node.args)
    if not all(paths):
        raise InstructionError("VOLUME specified can not be an empty string")
    return Volume(paths)


def _healthcheck(node: Node) -> Healthcheck:
    _at_least_one(node)
    return read_healthcheck(node)


def _onbuild(node: Node) -> Onbuild:
    _at_least_one(node)
    _flags(node)
    trigger = node.args[0].upper()
    if trigger == "ONBUILD":
        raise InstructionError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise InstructionError(f"{trigger} isn't allowed as an ONBUILD trigger")
    body = _ONBUILD.sub("", node.original, count=1)
    return Onbuild(body + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs))


_READERS: Mapping[str, Callable[[Node], Instruction]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "from": _from,
    "healthcheck": _healthcheck,
    "label": _label,
    "maintainer": lambda node: Maintainer(_only_argument(node)),
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": lambda node: StopSignal(_only_argument(node)),
    "user": lambda node: User(_only_argument(node)),
    "volume": _volume,
    "workdir": lambda node: Workdir(_only_argument(node)),
}
