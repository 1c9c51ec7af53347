"""How the files that a step takes in have changed: content, attributes, and ignore rules that decide otherwise now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minidock.core.cache_key import InputFile, RecordedInputs
from minidock.core.dockerfile.ignore import IgnoreRules, Rule
from minidock.core.entries import DIRECTORY, ancestors
from minidock.core.reason import Reason, clipped, some_of
from minidock.core.secret_words import starred
from minidock.core.told import Ignores, Told

_LONGEST_PATTERN = 60


class _Ruling(NamedTuple):
    """What an ignore rule, called by its place and text, decides about a file: ``verb`` says in which way."""

    verb: str
    rule: str
    file: InputFile


def explain_files(before: RecordedInputs, now: RecordedInputs) -> tuple[Reason, ...]:
    """Return one reason that counts the changed files, all of them its details, and one for each ignore rule at work.

    Files are counted among all that there are or were, a directory only if it has changed itself. What a mount shows
    from elsewhere by now is left out: the mount is what has changed. Nothing if the earlier list is gone.
    """
    if before.files is None:
        return ()
    old, new = ({item.path: item for item in side.files or ()} for side in (before, now))
    elsewhere = tuple(_moved(before.told, now.told))
    is_other_choice = _is_other_choice(before, now)
    gone, come = ("no longer taken", "now taken") if is_other_choice else ("removed", "added")
    changes, rulings, total = list[str](), list[_Ruling](), 0
    for path in sorted(old.keys() | new.keys()):
        then, item = old.get(path), new.get(path)
        known = item or old[path]
        if then is not None and item is not None:
            change = "" if then == item else _explain_file(then, item)
        elif any(_is_within(path, place) for place in elsewhere):
            continue
        else:
            ruling = _ruling(before.told, now.told, known, is_taken=item is not None)
            if ruling is not None:
                rulings.append(ruling)
                continue
            # Of files that were chosen in another way the directories do not matter.
            is_worth_telling = not is_other_choice or known.kind != DIRECTORY
            change = (come if then is None else gone) if is_worth_telling else ""
        if change:
            changes.append(f"{starred(path) or '.'} ({change})")
        total += bool(change) or (item is not None and item.kind != DIRECTORY)
    counted = f"{len(changes):,} of {total:,} file{'' if total == 1 else 's'} changed: {some_of(changes)}"
    return (*([Reason(counted, tuple(changes))] if changes else []), *_by_rule(rulings))


def _is_other_choice(before: RecordedInputs, now: RecordedInputs) -> bool:
    """Whether a COPY or ADD chooses other files: something before its destination has changed."""
    old, new = before.told.text, now.told.text
    return bool(old) and now.word != "RUN" and old.rpartition(" ")[0] != new.rpartition(" ")[0]


def _moved(before: Told, now: Told) -> Iterator[str]:
    """Yield how the paths of files begin whose mount is another one now."""
    for mount in {*before.mounts} ^ {*now.mounts}:
        yield mount.files


def _is_within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place.removesuffix('/')}/") or not place


def _ruling(before: Told, now: Told, file: InputFile, *, is_taken: bool) -> _Ruling | None:
    """Return the rule by which a file is left out now, or is no longer; None if none has to do with it."""
    old, new = _rules(before.ignores, file.path), _rules(now.ignores, file.path)
    path = file.path.removeprefix(old.prefix or new.prefix)
    if not is_taken:
        return _Ruling("newly ignored by", _shown(new.rules, path), file) if new.rules.is_ignored(path) else None
    if not old.rules.is_ignored(path):
        return None
    if new.rules.rule_for(path) is not None:
        return _Ruling("newly included by", _shown(new.rules, path), file)
    return _Ruling("no longer ignored by", _shown(old.rules, path), file)


def _rules(ignores: Sequence[Ignores], path: str) -> Ignores:
    """Return the rules that decide about a path of the inputs, none if nobody has any."""
    found = [item for item in ignores if path.startswith(item.prefix)]
    return max(found, key=lambda item: len(item.prefix), default=Ignores("", IgnoreRules()))


def _shown(rules: IgnoreRules, path: str) -> str:
    rule = rules.rule_for(path)
    assert rule is not None
    return f"{rules.place_of(rule)} ({_pattern(rule)})"


def _pattern(rule: Rule) -> str:
    return clipped(starred(rule.text), _LONGEST_PATTERN)


def _by_rule(rulings: Sequence[_Ruling]) -> Iterator[Reason]:
    for verb, rule in dict.fromkeys((item.verb, item.rule) for item in rulings):
        files = [item.file for item in rulings if (item.verb, item.rule) == (verb, rule)]
        yield Reason(f"{verb} {rule}: {some_of(_tops(files))}", tuple(starred(file.path) for file in files))


def _tops(files: Sequence[InputFile]) -> list[str]:
    """Return the names of files that are in none of the directories among them, directories with what is in them."""
    directories = {file.path: 0 for file in files if file.kind == DIRECTORY}
    tops = []
    for file in files:
        above = next((path for path in ancestors(file.path) if path in directories), None)
        if above is None:
            tops.append(file.path)
        elif file.kind != DIRECTORY:
            directories[above] += 1
    return [f"{starred(path)}{_held(directories[path]) if path in directories else ''}" for path in tops]


def _held(count: int) -> str:
    return f"/ ({count:,} file{'' if count == 1 else 's'})"


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
