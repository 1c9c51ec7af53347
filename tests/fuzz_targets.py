"""What is fuzzed: everything that reads what users write in builds.

An input is a Dockerfile, unless its first byte is above 0x7f and chooses one of the smaller `READERS`. None of them may
raise anything but an error of ours. ``corpus.txt`` holds inputs that reach different code (`tests.fuzz` finds them),
one a line in base64.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from minidock.cli.build_call import Call
from minidock.core.build_options import (
    AgentOption,
    CacheOption,
    ContextOption,
    Output,
    SecretOption,
    parse_annotations,
    parse_hosts,
)
from minidock.core.config import ImageConfig
from minidock.core.dockerfile import instructions, outline, parser, run_mounts, stage_needs, stage_plan, triggers, words
from minidock.core.dockerfile.arguments import ArgumentError, json_array
from minidock.core.dockerfile.checks.options import BadOptions, CheckOptions
from minidock.core.dockerfile.directives import find_check, find_syntax
from minidock.core.dockerfile.expansion import expand
from minidock.core.dockerfile.glob import match
from minidock.core.dockerfile.heredocs import heredocs_of_line
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.ports import BadPort, parse_ports
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.durations import BadDuration, parse_duration
from minidock.core.file_mode import ModeChange
from minidock.core.git_reference import parse_git_reference
from minidock.core.limit_rules import parse_ulimit
from minidock.core.mount_keys import parse_mount
from minidock.core.mounts import MountOption
from minidock.core.platform import Platform
from minidock.core.published import parse_publish
from minidock.core.reference import Reference
from minidock.core.templates.template import Template
from minidock.core.units import parse_size
from minidock.core.users import resolve_owner
from minidock.engine.definition import Definition
from minidock.errors import MinidockError

CORPUS = Path(__file__).with_name("core") / "dockerfile" / "corpus.txt"
_FIRST_READER = 0x80
_ENV = {"a": "1", "e": "", "p": "/usr/local/lib:x"}
_HOST = Platform("linux", "amd64")
_OWN = (MinidockError, InstructionError, ArgumentError, BadOptions, BadPort, BadDuration)
_PATHS = ("a", "a/b.txt", "a/b/c/d", ".", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x")
_PASSWD = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:\n"
_WORDS = (
    *(b"FROM a AS b\n", b"ARG x=1\n", b"RUN <<E\n", b"E\n", b"COPY --from=b", b"--mount=type="),
    *(b"ONBUILD ", b"--chmod=", b"${x:-", b"${a/b/", b"}", b"$", b"\\\n", b'["', b'"]', b"'", b'"', b"#"),
    *(b"# escape=`\n", b"\xff", b"\x00", b"\r\n", b"\t", b"type=", b",src=", b"**", b"[^", b"!"),
)


def ignores(text: str) -> None:
    """Read an ignore file and ask it about paths."""
    rules = IgnoreRules.parse(text)
    for path in _PATHS:
        rules.is_ignored(path)
        rules.may_hold_included(path)
        rules.matches(path)


def _expand(text: str) -> str:
    return words.expand(text, _ENV)


def _globs(text: str) -> None:
    for path in _PATHS:
        match(text, path)


# New ones stand at the end: inputs of the corpus name them by their place.
READERS: tuple[Callable[[str], object], ...] = (
    ignores,
    lambda text: words.expansion(text, _ENV),
    lambda text: words.expand_body(text, _ENV),
    words.split_words,
    lambda text: words.shown(text, _ENV, is_command=True),
    lambda text: run_mounts.parse(text, _expand),
    heredocs_of_line,
    Reference.parse,
    lambda text: Platform.parse(text, _HOST).normalized(),
    ModeChange.parse,
    _globs,
    SecretOption.parse,
    AgentOption.parse,
    Output.parse,
    CacheOption.parse,
    ContextOption.parse,
    lambda text: parse_annotations(text, _HOST),
    parse_hosts,
    parse_mount,
    MountOption.parse,
    MountOption.parse_tmpfs,
    json_array,
    CheckOptions.parse,
    lambda text: (find_syntax(text), find_check(text)),
    lambda text: words.expand_words(text, _ENV, "`"),
    lambda text: resolve_owner(text, _PASSWD, "root:x:0:\nwww-data:x:33:\n"),
    parse_ports,
    parse_publish,
    parse_git_reference,
    parse_size,
    parse_ulimit,
    parse_duration,
    Call.parse,
    Template.parse,
)


def one(data: bytes) -> None:
    """Give an input to what reads it; anything but an error of ours comes through."""
    reader = data[0] - _FIRST_READER if data else -1
    try:
        if 0 <= reader < len(READERS):
            READERS[reader](data[1:].decode(errors="replace"))
        else:
            dockerfile(data)
    except _OWN:
        return


def dockerfile(data: bytes) -> None:
    """Do with a Dockerfile all that can be done without a store."""
    parsed = parser.parse(data)
    items = instructions.read(parsed)
    definition = Definition("", parsed, items, IgnoreRules.parse("a\n!a/b\n"))
    outline.targets(parsed, items)
    try:
        plan = definition.plan({}, None)
    except MinidockError:
        definition.findings_of_file({}, None)
        return
    for item in items:
        _expanded(parsed, item)
    definition.checked(plan, range(len(plan.stages)), {"x": "y"}, None, lambda name: ImageConfig("amd64"))
    target = stage_plan.resolve_target(plan, None)
    outline.outline(plan, items, target, {})
    stage_needs.needed(triggers.with_triggers(plan, lambda name: ("RUN a", "COPY b c")), target)


def _expanded(parsed: parser.Dockerfile, item: instructions.Instruction) -> None:
    try:
        expand(item, _ENV, parsed.escape)
    except MinidockError:
        return


def corpus() -> list[bytes]:
    """Return the inputs that are kept."""
    return [base64.b64decode(line) for line in CORPUS.read_text().splitlines()]


def changed(inputs: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield inputs with something cut out, doubled, replaced, put in, or taken from another input."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(inputs))
        for _ in range(chance.randint(1, 6)):
            start = chance.randint(0, len(data))
            end = min(len(data), start + chance.randint(0, 12))
            other = chance.choice(inputs)
            cut = chance.randint(0, len(other))
            piece = (
                b"",
                bytes(data[start:end]) * 2,
                chance.choice(_WORDS),
                other[cut : cut + 20],
                bytes([chance.randint(0, 255)]),
            )
            data[start:end] = chance.choice(piece)
        yield bytes(data)
