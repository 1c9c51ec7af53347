"""Why a step has another cache key than when it ran before: every reason, in words that its author knows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from minidock.core.cache_key import InputFile, RecordedInputs, StepInputs
from minidock.core.entries import DIRECTORY
from minidock.core.secret_words import looks_secret, starred

_MOST_NAMED = 3
_WIDTH = 40
_NAMES = {"directory": "working directory", "architecture": "platform"}  # of settings, where authors have others


class Reason(NamedTuple):
    """Why a step has another key: one line, and what does not fit into it, such as every changed file."""

    text: str
    details: tuple[str, ...] = ()


def explain(before: RecordedInputs, now: StepInputs) -> tuple[Reason, ...]:
    """Return every reason why a step has another key than when it ran before, most telling first.

    Values that look secret are not shown. Never empty for unequal inputs.
    """
    current = now.recorded()
    reasons = list(_explain_instruction(before, current))
    if _word(before.instruction) != _word(current.instruction):
        return tuple(reasons)  # another step stood here: nothing else is worth comparing
    reasons += [
        *_explain_names("build argument ", before.build_args, current.build_args),
        *_explain_names("environment variable ", before.env, current.env),
        *_explain_names("", before.settings, current.settings),
    ]
    if before.files is not None:
        reasons += explain_files(before.files, current.files or ())
    if before.parent != current.parent:
        reasons.append(_explain_parent(before, current))
    return tuple(reasons) or (Reason("the cached result was made from other inputs"),)


def has_changed(name: str, known_names: Collection[str]) -> bool:
    """Whether a step with another text than the one at its place before is that one changed, not one that moved there.

    ``name`` and ``known_names``, those of all steps of the last build, are ``[STAGE N/TOTAL] INSTRUCTION``.
    """
    if name in known_names:
        return True  # what changed is not in its first line
    place, _, text = name.partition("] ")
    known = [other.partition("] ") for other in known_names]
    return any(other == place for other, _, _ in known) and all(other != text for _, _, other in known)


def explain_instruction(before: RecordedInputs, now: RecordedInputs) -> tuple[Reason, ...]:
    """Return how the text of a step has changed; nothing if it is the same."""
    return tuple(_explain_instruction(before, now))


def _explain_instruction(before: RecordedInputs, now: RecordedInputs) -> Iterator[Reason]:
    if before.instruction == now.instruction:
        return
    old, new = before.instruction, now.instruction
    if before.told.text:  # else it was recorded before there were such texts
        old, new = before.told.text, now.told.text or new
    if before.told.shell and now.told.shell and before.told.shell != now.told.shell:
        yield Reason(f"shell changed: {_quoted(before.told.shell)} -> {_quoted(now.told.shell)}")
        if old == new:
            return
    old, new = starred(old), starred(new)
    yield Reason(f"instruction changed: {_differing_words(old, new)}", (old, new))


def _differing_words(before: str, now: str) -> str:
    """Return the words that changed, in up to `_MOST_NAMED` places; both texts if they begin with other words."""
    if _word(before) != _word(now):
        return f"{_clip(before, 70)} -> {_clip(now, 70)}"
    old, new = before.split(), now.split()
    changes = []
    for kind, start, end, other_start, other_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        removed, added = _quoted(" ".join(old[start:end])), _quoted(" ".join(new[other_start:other_end]))
        match kind:
            case "replace":
                changes.append(f"{removed} -> {added}")
            case "delete":
                changes.append(f"{removed} removed")
            case "insert":
                changes.append(f"{added} added")
    if not changes:
        return "a secret value" if "****" in before else "white space"
    more = f" and {len(changes) - _MOST_NAMED:,} more" if len(changes) > _MOST_NAMED else ""
    return ", ".join(changes[:_MOST_NAMED]) + more


def _explain_names(what: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Reason]:
    for name in sorted(before.keys() | now.keys()):
        shown = f"{what}{name if what else _NAMES.get(name, starred(name))}"
        if name not in before:
            yield Reason(f"{shown} added")
        elif name not in now:
            yield Reason(f"{shown} removed")
        elif before[name] != now[name]:
            is_hidden = bool(what) and looks_secret(name)
            values = "" if is_hidden else f": {_quoted(before[name])} -> {_quoted(now[name])}"
            yield Reason(f"{shown} changed{values}")


def _explain_parent(before: RecordedInputs, now: RecordedInputs) -> Reason:
    old, new = before.told.base, now.told.base
    if old and new and old != new:
        return Reason(f"parent image changed: {_short_base(old)} -> {_short_base(new)}", (old, new))
    return Reason(f"parent changed: {_short(before.parent)} -> {_short(now.parent)}", (before.parent, now.parent))


def explain_files(before: Sequence[InputFile], now: Sequence[InputFile]) -> tuple[Reason, ...]:
    """Return one reason that counts the changed files, with all of them as its details; nothing if none changed.

    They are counted among all that there are or were; a directory counts only if it has changed itself.
    """
    old = {item.path: item for item in before}
    new = {item.path: item for item in now}
    changes, total = [], 0
    for path in sorted(old.keys() | new.keys()):
        change = _explain_change(old.get(path), new.get(path))
        if change:
            changes.append(f"{starred(path) or '.'} ({change})")
        total += bool(change) or new[path].kind != DIRECTORY
    if not changes:
        return ()
    named = ", ".join(changes[:_MOST_NAMED])
    more = f" and {len(changes) - _MOST_NAMED:,} more" if len(changes) > _MOST_NAMED else ""
    return (Reason(f"{len(changes):,} of {total:,} files changed: {named}{more}", tuple(changes)),)


def _explain_change(before: InputFile | None, now: InputFile | None) -> str:
    if before is None:
        return "added"
    if now is None:
        return "removed"
    return "" if before == now else _explain_file(before, now)


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


def _word(text: str) -> str:
    return text.split(" ", 1)[0]


def _short(text: str) -> str:
    return text.removeprefix("sha256:")[:12] or "scratch"


def _short_base(text: str) -> str:
    name, _, digest = text.rpartition("@")
    return f"{name}@{_short(digest)}" if name else _short(text)


def _quoted(text: str) -> str:
    return repr(_clip(starred(text), _WIDTH)) if text else "none"


def _clip(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
