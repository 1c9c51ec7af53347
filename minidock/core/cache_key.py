"""What a step's result depends on, the key made from it, and why two keys differ.

The key covers everything that can influence the result and nothing else. Times of files never count; what a label or
a CMD says never disturbs a later RUN, because those stand in the image config and not in a step's inputs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minidock.core.canonical import dumps
from minidock.core.digest import Digest
from minidock.errors import StoreError

FORMAT_VERSION = 2
_SECRET = re.compile(r"(?i)(^|_)(api_?key|auth|credentials?|key|password|passwd|pword|secret|token)(_|$)")
_MOST_NAMED = 3


class InputFile(NamedTuple):
    """One file that a COPY or ADD takes in: ``content`` is its sha256, or the target of a link.

    ``owner`` is ``uid:gid`` where the source's owner is kept (a stage or image), empty for a build context; ``link``
    the file taken before that this is a further name of; ``xattrs`` a text that tells the extended attributes.
    """

    path: str
    kind: str
    mode: int
    content: str
    owner: str = ""
    link: str = ""
    xattrs: str = ""


@dataclass(frozen=True, slots=True)
class StepInputs:
    """Everything that can influence one step.

    ``instruction`` is the normalised text; ``parent`` the chain ID of the layers below (a step that makes a layer) or
    the image ID of the step before (one that only changes the config). ``settings`` are named texts: user, directory,
    shell, platform, id mode where it matters. ``files`` are sorted.
    """

    instruction: str
    parent: str
    env: tuple[str, ...] = ()
    build_args: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    files: tuple[InputFile, ...] = ()

    def key(self) -> Digest:
        """Return the cache key."""
        return Digest.sha256(dumps([FORMAT_VERSION, *self._members(), str(self.files_digest())]))

    def files_digest(self) -> Digest:
        """Return the digest of the list of files; equal lists have equal ones."""
        return Digest.sha256(self.files_to_bytes())

    def files_to_bytes(self) -> bytes:
        """Return the list of files as canonical JSON."""
        return dumps(self.files)

    def _members(self) -> list[Any]:
        return [self.instruction, self.parent, self.env, self.build_args, self.settings]

    def to_json(self) -> dict[str, Any]:
        """Return the inputs as a record keeps them: without files, values that look secret as digests."""
        return {
            "instruction": self.instruction,
            "parent": self.parent,
            "env": [_hidden_pair(*item.partition("=")[::2]) for item in self.env],
            "build_args": [_hidden_pair(*item) for item in self.build_args],
            "settings": [list(item) for item in self.settings],
        }


def _hidden_pair(name: str, value: str) -> list[str]:
    if _SECRET.search(name):
        value = f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogateescape')).hexdigest()}"
    return [name, value]


def with_stars(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables as they may be shown: ``****`` for those whose name looks secret."""
    return {name: "****" if value and _SECRET.search(name) else value for name, value in variables.items()}


def without_secrets(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return ``text`` with ``NAME=****`` for those of the ``pairs`` in it whose name looks secret."""
    for name, value in pairs:
        if value and _SECRET.search(name):
            text = text.replace(f"{name}={value}", f"{name}=****")
    return text


@dataclass(frozen=True, slots=True)
class RecordedInputs:
    """The inputs of an earlier run of a step, as its record keeps them. ``files`` is None if the list is gone."""

    instruction: str
    parent: str
    env: Mapping[str, str]
    build_args: Mapping[str, str]
    settings: Mapping[str, str]
    files: tuple[InputFile, ...] | None = field(default=None)

    @classmethod
    def from_json(cls, members: Mapping[str, Any], files: Sequence[Sequence[Any]] | None) -> RecordedInputs:
        """Return the inputs read from a record. Raises: StoreError."""
        try:
            return cls(
                instruction=str(members["instruction"]),
                parent=str(members["parent"]),
                env=dict(members["env"]),
                build_args=dict(members["build_args"]),
                settings=dict(members["settings"]),
                files=None if files is None else tuple(InputFile(*row) for row in files),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError("malformed cache record") from error


class Reason(NamedTuple):
    """Why a step has another key: one line, and what does not fit into it, such as every changed file."""

    text: str
    details: tuple[str, ...] = ()


def explain(before: RecordedInputs, now: StepInputs) -> tuple[Reason, ...]:
    """Return every reason why a step has another key than when it ran before, most telling first.

    Values of environment variables and arguments that look secret are not shown. Never empty for unequal inputs.
    """
    current = RecordedInputs.from_json(now.to_json(), None)
    reasons: list[Reason] = []
    if before.instruction != current.instruction:
        reasons.append(Reason(f"instruction changed: {_clip(before.instruction)} -> {_clip(current.instruction)}"))
        if before.instruction.split(" ", 1)[0] != current.instruction.split(" ", 1)[0]:
            return tuple(reasons)  # another step stood here: nothing else is worth comparing
    named = [
        *_explain_names("build argument", before.build_args, current.build_args),
        *_explain_names("environment variable", before.env, current.env),
        *_explain_names("setting", before.settings, current.settings),
    ]
    reasons.extend(Reason(text) for text in named)
    if before.files is not None:
        reasons.extend(explain_files(before.files, now.files))
    if before.parent != current.parent:
        text = f"parent changed: {_short(before.parent)} -> {_short(current.parent)}"
        reasons.append(Reason(text, (before.parent, current.parent)))
    return tuple(reasons) or (Reason("the cached result was made from other inputs"),)


def _explain_names(what: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    reasons = []
    for name in sorted(before.keys() | now.keys()):
        if name not in before:
            reasons.append(f"{what} {name} added")
        elif name not in now:
            reasons.append(f"{what} {name} removed")
        elif before[name] != now[name]:
            is_hidden = _SECRET.search(name) is not None
            values = "" if is_hidden else f": {_clip(before[name], 40)!r} -> {_clip(now[name], 40)!r}"
            reasons.append(f"{what} {name} changed{values}")
    return reasons


def explain_files(before: Sequence[InputFile], now: Sequence[InputFile]) -> tuple[Reason, ...]:
    """Return one reason that counts the changed files, with all of them as its details; nothing if none changed."""
    old = {item.path: item for item in before}
    new = {item.path: item for item in now}
    changes = []
    for path in sorted(old.keys() | new.keys()):
        if path not in old:
            changes.append(f"{path} (added)")
        elif path not in new:
            changes.append(f"{path} (removed)")
        elif old[path] != new[path]:
            changes.append(f"{path} ({_explain_file(old[path], new[path])})")
    if not changes:
        return ()
    named = ", ".join(changes[:_MOST_NAMED])
    more = f" and {len(changes) - _MOST_NAMED:,} more" if len(changes) > _MOST_NAMED else ""
    return (Reason(f"{len(changes):,} of {len(new):,} files changed: {named}{more}", tuple(changes)),)


def _explain_file(before: InputFile, now: InputFile) -> str:
    if before.kind != now.kind:
        return f"{before.kind} -> {now.kind}"
    parts = []
    if before.mode != now.mode:
        parts.append(f"mode {before.mode:o}→{now.mode:o}")
    if before.owner != now.owner:
        parts.append(f"owner {before.owner} -> {now.owner}")
    if before.content != now.content:
        parts.append("link target" if now.kind == "symlink" else "content")
    if before.link != now.link:
        parts.append("hard link")
    if before.xattrs != now.xattrs:
        parts.append("extended attributes")
    return ", ".join(parts)


def _short(text: str) -> str:
    return text.removeprefix("sha256:")[:12] or "scratch"


def _clip(text: str, width: int = 70) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
