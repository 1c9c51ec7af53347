"""What the BuildKit inside docker 20.10 (of 2020) says otherwise than a current one, where the image is the same."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from tests.differential.case import Case
from tests.differential.compare import differences
from tests.differential.result import Result

# Refused in the words of a parser that meets syntax it was never told of.
_UNKNOWN = re.compile(
    r"Unknown flag: |unknown instruction: |missing ':' in substitution|unsupported modifier|unexpected key '"
    r"|invalid syntax|strconv.ParseUint|Unexpected token|unexpected network type"
)
# What a current BuildKit does otherwise, and the cases that show it: a name, or its beginning and a star.
_REASONS: Mapping[str, tuple[str, ...]] = {
    "the daemon ends over it": ("run-mount-42",),
    "`**.txt` means any depth, exceptions reach below ignored directories": (
        *("ignore-22", "ignore-30", "ignore-31", "ignore-36", "ignore-37", "ignore-41", "ignore-50"),
        *("ignore-dir-22", "ignore-dir-36", "ignore-dir-37", "ignore-dir-50"),
        *("buildah-copy-integration1", "buildah-dockerignore-exceptions-skip"),
        *("buildah-dockerignore-exclude-deep-subdir-*", "buildah-dockerignore-exclude-kind-of-deep-subdir-*"),
    ),
    "an exception for a directory does not bring back what an earlier pattern names in it": (
        *("ignore-10[789]", "ignore-11[012346]", "ignore-dir-10[789]", "ignore-dir-11[012346]"),
    ),
    "a backslash before a slash has no meaning": ("ignore-105", "ignore-dir-105"),
    "a wildcard that nothing matches fails where its directory is not sent": ("copy-star-in-unsent*",),
    "the name of an ARG is what stands there": ("words-arg-name-quoted", "words-arg-name-with-backslash"),
    "directories are not sent if the ignore file lets nothing in them through": (
        *("buildah-dockerignore-allowlist-subdir-nofile-*", "buildah-dockerignore-allowlist-subsubdir-nofile"),
    ),
    "patterns with errors are errors": ("copy-class-open", "copy-class-empty", "file-48"),
    "--chown counts for what ADD unpacks": ("add-archive-chown", "buildkit-add-archive-chown-0"),
    "the parts of an ARG are expanded one after the other": ("words-arg-5", "moby-arg-value-from-previous-arg-0"),
    "the default of an ARG is expanded only if it is used": ("words-arg-14", "buildkit-arg-default-expansion-2"),
    "an ARG without a value does not take one away": ("words-global-8",),
    "TARGETSTAGE": ("words-arg-31",),
    "what follows a JSON array makes it a line for the shell": (
        *("config-cmd-8", "config-entrypoint-8"),
        *("buildkit-run-broken-json-is-shell-form-0", "buildkit-entrypoint-broken-json-is-shell-form-0"),
    ),
    "0 means the default in HEALTHCHECK": (
        *("config-health-12", "config-health-13", "config-health-19", "config-health-38"),
        "moby-healthcheck-zero-values-0",
    ),
    "stages that come later are refused": ("stages-later-number", "stages-cycle"),
    "mounts of stages that are not needed are not looked at": ("stages-unneeded-mount",),
    "all values of mounts have variables": (
        *("run-bind-variable", "run-mount-57", "run-mount-61", "buildkit-mount-arg-in-type-0"),
        *("buildkit-mount-env-across-stages-0", "buildkit-mount-global-arg-0"),
    ),
    "HOME is that of the user, who is in all groups of hers": ("run-env-user*", "buildkit-user-additional-gids-0"),
    "BUILDKIT_SANDBOX_HOSTNAME": ("buildkit-sandbox-hostname-0",),
    "SOURCE_DATE_EPOCH": ("buildkit-epoch-invalid-0",),
    "triggers of a stage are resolved where they fire": ("buildkit-onbuild-copy-from-in-inherited-stage-0",),
}
# Cases whose result another build changes, or chance; each builder has its own.
_PASSING = (
    *(
        "buildkit-copy-wildcard-cache-*",
        "buildkit-mount-rw-cached-by-content-*",
        "buildkit-cache-no-cache-and-filter-*",
    ),
    *("moby-mount-cache-kept-between-builds-*", "buildkit-copy-does-not-unpack-0", "buildkit-mount-two-from-context-1"),
)
_SHELL = re.compile(r"^RUN \|\d+ .*? (?=/bin/sh -c )")
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
        case "RUN":
            return _SHELL.sub("RUN ", text)
        case "EXPOSE":
            return " ".join([word, *sorted(set(_PORTS.findall(rest)))])
        case "WORKDIR":
            return f"{word} {posixpath.normpath(rest)}"
    return text


def reason_of(case: Case, lines: Sequence[str]) -> str:
    """Return why a case's image differs from that of docker, empty if it is not known."""
    if "RUN --mount" in case.dockerfile and all(line.endswith(": None instead of dir 755 0:0") for line in lines):
        return "places of mounts stay"
    if "--chmod=" in case.dockerfile:
        return "--chmod takes octal digits only, without special bits"
    found = (words for words, names in _REASONS.items() if any(fnmatchcase(case.name, name) for name in names))
    return next(found, "")


def is_passing(case: Case) -> bool:
    """Tell whether what a case gives depends on more than the case."""
    return any(fnmatchcase(case.name, name) for name in _PASSING)
