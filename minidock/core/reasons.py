"""Why a step has another cache key than when it ran before: every reason, in words that its author knows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import SequenceMatcher

from minidock.core.cache_key import RecordedInputs
from minidock.core.file_reasons import explain_files
from minidock.core.mount_reasons import MOUNT, explain_mounts
from minidock.core.reason import Reason, change_of, clipped, quoted, some_of
from minidock.core.secret_words import looks_secret, starred

_NAMES = {"directory": "working directory", "architecture": "platform"}  # of settings, where authors have others
_FLAGS = ("exclude", "owner", "unpack")  # settings that stand in the text of an instruction too
_TEXT_WIDTH = 70
_ALIKE = 0.5  # of all words that two instructions have in common, above which one is the other changed
_SCRIPT = "script "  # what the names of settings begin with that are here-documents with an interpreter


def explain(before: RecordedInputs, now: RecordedInputs) -> tuple[Reason, ...]:
    """Return every reason why a step has another key than when it ran before, most telling first.

    Values that look secret are not shown. Never empty for unequal inputs.
    """
    if before.word != now.word:
        return (_explain_text(before.told.text or before.instruction, now.told.text or now.instruction),)
    reasons = list(explain_own(before, now))
    if before.parent != now.parent and "independent" not in (before.parent, now.parent):
        reasons.append(_explain_parent(before, now))
    if before.format != now.format:
        reasons.append(Reason("this minidock makes its cache keys another way than the one that built it"))
    return tuple(reasons) or (Reason("the cached result was made from other inputs"),)


def explain_own(before: RecordedInputs, now: RecordedInputs) -> tuple[Reason, ...]:
    """Return every reason that does not lie in the layers below; nothing if there is none."""
    if before.word != now.word:
        return ()  # another step stood here: there is nothing to compare
    return (
        *_explain_instruction(before, now),
        *_explain_names("build argument ", before.build_args, now.build_args),
        *_explain_names("environment variable ", before.env, now.env),
        *_explain_names("", *_settings(before, now)),
        *explain_mounts(before, now),
        *explain_files(before, now),
    )


def _settings(*both: RecordedInputs) -> tuple[dict[str, str], ...]:
    """Return the settings to compare one by one: mounts are told by option, and flags by the text that has changed."""
    is_other_text = all(side.told.text for side in both) and len({side.told.text for side in both}) > 1
    return tuple(
        {
            name: value
            for name, value in side.settings.items()
            if not name.startswith(MOUNT) and not (is_other_text and name in _FLAGS)
        }
        for side in both
    )


def has_changed(name: str, known_names: Collection[str]) -> bool:
    """Whether a step with another text than the one at its place before is that one changed, not one that moved there.

    ``name`` and ``known_names``, those of all steps of the last build, are ``[STAGE N/TOTAL] INSTRUCTION``.
    """
    if name in known_names:
        return True  # what changed is not in its first line
    place, _, text = name.partition("] ")
    known = [other.partition("] ") for other in known_names]
    return any(other == place for other, _, _ in known) and all(other != text for _, _, other in known)


def explain_place(
    name: str, known_names: Collection[str], before: RecordedInputs, now: RecordedInputs
) -> Reason | None:
    """Return how a step came to the place of another one, ``before``; None if it is that one, changed or not.

    Names are those of `has_changed`.
    """
    if before.instruction == now.instruction or not known_names or has_changed(name, known_names):
        return None
    old, new = (starred(side.told.text or side.instruction) for side in (before, now))
    place, _, text = name.partition("] ")
    stage = place.rpartition(" ")[0]
    known = [one.partition("] ") for one in known_names]
    if any(other == text and where.rpartition(" ")[0] == stage for where, _, other in known):
        return Reason(f"moved to where {clipped(old, _TEXT_WIDTH)} was", (old, new))
    is_alike = SequenceMatcher(None, old.split(), new.split(), autojunk=False).ratio() > _ALIKE
    return None if is_alike else Reason(f"new step, where {clipped(old, _TEXT_WIDTH)} was", (old, new))


def _explain_instruction(before: RecordedInputs, now: RecordedInputs) -> Iterator[Reason]:
    old, new = before.instruction, now.instruction
    if before.told.text:  # else it was recorded before there were such texts
        old, new = before.told.text, now.told.text or new
        if before.told.shell and now.told.shell and before.told.shell != now.told.shell:
            shells = before.told.shell, now.told.shell
            yield Reason(f"shell changed: {change_of(*shells)}", shells)
        elif old == new and before.instruction != now.instruction:
            old, new = before.instruction, now.instruction
    if old != new:
        yield _explain_text(old, new)


def _explain_text(old: str, new: str) -> Reason:
    old, new = starred(old), starred(new)
    return Reason(f"instruction changed: {_differing_words(old, new)}", (old, new))


def _differing_words(before: str, now: str) -> str:
    """Return the words that changed, in a few places; both texts if they begin with other words."""
    if before.partition(" ")[0] != now.partition(" ")[0]:
        return f"{clipped(before, _TEXT_WIDTH)} -> {clipped(now, _TEXT_WIDTH)}"
    old, new = before.split(), now.split()
    changes = []
    for kind, start, end, other_start, other_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        removed, added = quoted(" ".join(old[start:end])), quoted(" ".join(new[other_start:other_end]))
        match kind:
            case "replace":
                changes.append(f"{removed} -> {added}")
            case "delete":
                changes.append(f"{removed} removed")
            case "insert":
                changes.append(f"{added} added")
    if not changes:
        return "a secret value" if "****" in before else "white space"
    return some_of(changes)


def _explain_names(what: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Reason]:
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        shown = f"{what}{name if what else _NAMES.get(name, starred(name))}"
        if what and looks_secret(name):
            yield Reason(f"{shown} {_verb(old, new)}")
        elif old is None or new is None:
            yield Reason(f"{shown} {_verb(old, new)}: {quoted(old or new or '')}")
        elif name.startswith(_SCRIPT):
            document = name.removeprefix(_SCRIPT).rpartition("/")[2]
            yield Reason(f"here-document {document} changed: {_differing_words(starred(old), starred(new))}")
        else:
            yield Reason(f"{shown} changed: {change_of(old, new)}", (starred(old), starred(new)))


def _verb(old: str | None, new: str | None) -> str:
    return "added" if old is None else "removed" if new is None else "changed"


def _explain_parent(before: RecordedInputs, now: RecordedInputs) -> Reason:
    old, new = before.told.base, now.told.base
    if old and new and old != new:
        return Reason(f"parent image changed: {_short_base(old)} -> {_short_base(new)}", (old, new))
    return Reason(f"parent changed: {_short(before.parent)} -> {_short(now.parent)}", (before.parent, now.parent))


def _short(text: str) -> str:
    return text.removeprefix("sha256:")[:12] or "scratch"


def _short_base(text: str) -> str:
    name, _, digest = text.rpartition("@")
    return f"{name}@{_short(digest)}" if name else _short(text)
