"""Variables of instructions are replaced by the values they have where the instruction stands.

Source: BuildKit, dockerfile2llb/convert.go, and the Expand methods of instructions/commands.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from minidock.core.dockerfile import words
from minidock.core.dockerfile.heredocs import Heredoc
from minidock.core.dockerfile.model import (
    Add,
    Copy,
    Env,
    Expose,
    Instruction,
    Label,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from minidock.core.dockerfile.ports import BadPort, parse_ports
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.signals import parse_signal
from minidock.errors import DockerfileError, ExpansionError, InvalidSignal

_GIT = re.compile(r"(git://|ssh://|git@[\w.-]+:|https?://[^#?]*\.git([#?].*)?$)")
_URL = re.compile(r"https?://")


def expand(instruction: Instruction, env: Mapping[str, str], escape: str = "\\") -> Instruction:
    """Return the instruction with its variables replaced and its quotes removed, and its values checked.

    Every word sees the same ``env``, the one before the instruction. Instructions that BuildKit does not expand
    (RUN, CMD, ...) come back as they are, and so do FROM and ARG: they have scopes of their own (`stages`).
    Raises: DockerfileError with the lines of the instruction; whoever knows the file adds its name and source.
    """
    try:
        return _expanded(instruction, env, escape)
    except (ExpansionError, InstructionError, InvalidSignal, BadPort) as error:
        raise DockerfileError(str(error), first=instruction.first, last=instruction.last) from error


def _expanded(instruction: Instruction, env: Mapping[str, str], escape: str) -> Instruction:
    def word(text: str) -> str:
        return words.expand(text, env, escape)

    match instruction:
        case Env() | Label():
            pairs = tuple((word(name), word(value)) for name, value in instruction.pairs)
            return replace(instruction, pairs=pairs)
        case Copy() | Add():
            return _files(instruction, env, word)
        case Expose():
            ports = [port for text in instruction.ports for port in words.expand_words(text, env, escape)]
            return replace(instruction, ports=tuple(port for text in ports for port in parse_ports(text)))
        case StopSignal():
            signal = word(instruction.signal)
            parse_signal(signal)
            return replace(instruction, signal=signal)
        case User():
            return replace(instruction, user=word(instruction.user))
        case Volume():
            paths = tuple(word(path) for path in instruction.paths)
            if not all(paths):
                raise InstructionError("VOLUME specified can not be an empty string")
            return replace(instruction, paths=paths)
        case Workdir():
            return replace(instruction, path=word(instruction.path))
    return instruction


def _files(instruction: Copy | Add, env: Mapping[str, str], word: Callable[[str], str]) -> Copy | Add:
    expanded = replace(
        instruction,
        sources=tuple(word(source) for source in instruction.sources),
        destination=word(instruction.destination),
        heredocs=tuple(_heredoc(heredoc, env) for heredoc in instruction.heredocs),
        chown=word(instruction.chown),
        chmod=word(instruction.chmod),
    )
    if isinstance(expanded, Add):
        return replace(expanded, checksum=word(expanded.checksum))
    for source in expanded.sources:
        if _GIT.match(source):
            raise InstructionError("source can't be a git ref for COPY")
        if _URL.match(source):
            raise InstructionError("source can't be a URL for COPY")
    return expanded


def _heredoc(heredoc: Heredoc, env: Mapping[str, str]) -> Heredoc:
    """Return the heredoc with its final contents, so that ``text`` and ``content`` are the same."""
    text = words.expand_body(heredoc.text, env) if heredoc.is_expanded else heredoc.text
    return replace(heredoc, content=text, strips_tabs=False, is_expanded=False)
