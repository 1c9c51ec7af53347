"""What differs between two results, and what is meant to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.differential.result import Result

# Deviations of ours: the words of docs/compatibility.md ("Building"), and the cases that show them.
DEVIATIONS: Mapping[str, tuple[str, ...]] = {
    "`[*]` in a wildcard": ("copy-star-class-escape",),
    "`WORKDIR` is shown cleaned": ("words-workdir-words", "words-workdir-dots", "words-workdir-trailing"),
    "An archive with `..` in a name": ("add-archive-dotdot",),
    "A member of an archive below a link of its own": ("add-archive-through-own-link",),
    "an equal size and time mean an equal file": ("copy-over-itself",),
    "The `source` of a tmpfs": ("run-mount-43",),
}
_OF_WINDOWS = "ArgsEscaped"  # BuildKit sets it with every CMD, and only Windows looks at it
_DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def deviation_of(name: str) -> str:
    """Return the words that tell of a case's deviation, empty if it is to be the same."""
    return next((words for words, names in DEVIATIONS.items() if name in names), "")


def comparable(result: Result) -> Result:
    """Return a result without what depends on how the base image was made, and without what nobody reads."""
    config = {name: value for name, value in result.config.items() if name != _OF_WINDOWS}
    env = [item for item in config.pop("Env", ()) if item != _DEFAULT_PATH]
    if config.get("WorkingDir") == "/":
        del config["WorkingDir"]
    history = [entry for entry in result.history if entry[0] not in ("", "base")]
    return replace(result, config=config | ({"Env": env} if env else {}), history=history)


def differences(ours: Result, theirs: Result) -> Iterator[str]:
    """Yield one line for everything that is not the same; two failures are the same whatever they say."""
    if ours.error or theirs.error:
        if bool(ours.error) != bool(theirs.error):
            yield f"ours: {ours.error or 'builds'}; theirs: {theirs.error or 'builds'}"
        return
    for path in sorted({*ours.tree, *theirs.tree}):
        left, right = ours.tree.get(path), theirs.tree.get(path)
        if left != right:
            yield f"{path}: {left} instead of {right}"
    for name in sorted({*ours.config, *theirs.config}):
        mine, other = ours.config.get(name), theirs.config.get(name)
        if mine != other:
            yield f"{name}: {mine} instead of {other}"
    if ours.history != theirs.history:
        yield f"history: {ours.history} instead of {theirs.history}"
