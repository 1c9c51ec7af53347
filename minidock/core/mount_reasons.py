"""How the mounts of a RUN have changed, option by option."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from minidock.core.cache_key import RecordedInputs
from minidock.core.reason import Reason, change_of, quoted
from minidock.core.secret_words import starred

MOUNT = "mount "  # what the names of their settings begin with
_ACCESS = "access"


def explain_mounts(before: RecordedInputs, now: RecordedInputs) -> Iterator[Reason]:
    """Yield a reason for each mount that is another one, with its options before and now."""
    old, new = _mounts(before), _mounts(now)
    removed = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    for name in removed:
        moved = next((other for other in added if _without_default(new, other) == _without_default(old, name)), None)
        if moved is not None:
            added.remove(moved)
            yield Reason(f"mount target changed: {quoted(_target(name))} -> {quoted(_target(moved))}")
        else:
            yield Reason(f"{starred(name)} removed: {_text(old[name])}")
    for name in added:
        yield Reason(f"{starred(name)} added: {_text(new[name])}")
    for name in old:
        if name in new and old[name] != new[name]:
            changes = ", ".join(_differing(old[name], new[name]))
            yield Reason(f"{starred(name)} changed: {changes}", (_text(old[name]), _text(new[name])))


def _mounts(inputs: RecordedInputs) -> dict[str, dict[str, str]]:
    """Return the options of each mount, by the name of its setting."""
    found = {name: _options(text) for name, text in inputs.settings.items() if name.startswith(MOUNT)}
    for mount in inputs.told.mounts:
        if mount.setting in found:
            found[mount.setting] |= {"from": mount.from_, "source": mount.source}
    return found


def _options(text: str) -> dict[str, str]:
    """Return the options in the setting of a mount: its type, ``ro`` or ``rw``, then names and values."""
    kind, access, *others = text.split(" ")
    options, last = {"type": kind, _ACCESS: access}, _ACCESS
    for word in others:
        name, sign, value = word.partition("=")
        if sign and name.isalpha():
            options[name], last = value, name
        else:  # of a value with a blank in it
            options[last] += f" {word}"
    return options


def _without_default(mounts: Mapping[str, Mapping[str, str]], name: str) -> dict[str, str]:
    """Return the options of a mount without an ID that only repeats the target."""
    return {key: value for key, value in mounts[name].items() if not (key == "id" and value == _target(name))}


def _target(name: str) -> str:
    return name.removeprefix(MOUNT)


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        before, now = old.get(name, ""), new.get(name, "")
        if before == now:
            continue
        if name == "content":
            yield f"content {_short(before)} -> {_short(now)}"
        elif name in ("type", _ACCESS):
            yield f"{before} -> {now}"
        else:
            yield f"{name} {change_of(before, now)}"


def _text(options: Mapping[str, str]) -> str:
    words = (value if name in ("type", _ACCESS) else f"{name}={value}" for name, value in options.items() if value)
    return starred(" ".join(words))


def _short(text: str) -> str:
    return text.removeprefix("sha256:")[:12] or "none"
