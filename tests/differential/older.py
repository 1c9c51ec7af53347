"""What the BuildKit inside docker 20.10 (of 2020) says otherwise than a current one, where the image is the same."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.differential.case import Case
from tests.differential.compare import differences
from tests.differential.result import Result

# Refused in the words of a parser that meets syntax it was never told of.
_UNKNOWN = re.compile(
    r"Unknown flag: |unknown instruction: |missing ':' in substitution|unsupported modifier|unexpected key '"
    r"|invalid syntax|strconv.ParseUint|Unexpected token|unexpected network type"
)
# What a current BuildKit does otherwise, and the cases that show it.
_REASONS: Mapping[str, tuple[str, ...]] = {}
_FLAGS = re.compile(r"^(ADD|COPY)((?: --[a-z-]+(?:=\S*)?)+)")
_PORTS = re.compile(r"\d+(?:-\d+)?/\w+")


def is_newer(ours: Result, theirs: Result) -> bool:
    """Tell whether docker refused a case that builds here because its syntax is newer than docker."""
    return bool(theirs.error and not ours.error and _UNKNOWN.search(theirs.error))


def is_worded_otherwise(ours: Result, theirs: Result) -> bool:
    """Tell whether only texts of the history differ, in the ways that are known of an older BuildKit."""
    return not ours.error and not list(differences(_plain(ours), _plain(theirs)))


def _plain(result: Result) -> Result:
    """Return a result without flags of ADD and COPY, values of ARG, forms of Go's values, and with cleaned paths."""
    config = dict(result.config)
    if "WorkingDir" in config:
        config["WorkingDir"] = posixpath.normpath(config["WorkingDir"])
    return replace(result, config=config, history=[[_text(text), is_empty] for text, is_empty in result.history])


def _text(text: str) -> str:
    word, _, rest = text.partition(" ")
    match word:
        case "ADD" | "COPY":
            return _FLAGS.sub(r"\1", text)
        case "ARG" | "HEALTHCHECK":
            return word
        case "EXPOSE":
            return " ".join([word, *sorted(_PORTS.findall(rest))])
        case "WORKDIR":
            return f"{word} {posixpath.normpath(rest)}"
    return text


def reason_of(case: Case, lines: Sequence[str]) -> str:
    """Return why a case's image differs from that of docker, empty if it is not known."""
    if "RUN --mount" in case.dockerfile and all(line.endswith(": None instead of dir 755 0:0") for line in lines):
        return "places of mounts stay"
    if "--chmod=" in case.dockerfile:
        return "--chmod takes octal digits only, without special bits"
    return next((words for words, names in _REASONS.items() if case.name in names), "")
