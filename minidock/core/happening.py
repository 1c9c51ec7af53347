"""One thing that has happened in a store, as `events` shows it, and which of them a user wants to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minidock.core.filters import has_label
from minidock.errors import InvalidRequest

SCOPE = "local"
_KINDS = ("container", "image", "network", "volume")
_UNKNOWN_HERE = ("config", "daemon", "node", "plugin", "secret", "service")


class Happening(NamedTuple):
    """``action`` (docker's word) has happened to ``actor``, an object of ``kind``; ``time``: nanoseconds since 1970."""

    kind: str
    action: str
    actor: str
    attributes: Mapping[str, str]
    time: int

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Happening:
        """Return what a line of the record says. Raises: KeyError, TypeError, ValueError."""
        actor = members["Actor"]
        return cls(members["Type"], members["Action"], actor["ID"], actor["Attributes"], int(members["timeNano"]))

    def to_json(self) -> dict[str, Any]:
        """Return docker's members, those of older clients included."""
        older: dict[str, Any] = {"status": self.action, "id": self.actor} if self.kind in ("container", "image") else {}
        if self.kind == "container" and "image" in self.attributes:
            older["from"] = self.attributes["image"]
        return {
            **older,
            "Type": self.kind,
            "Action": self.action,
            "Actor": {"ID": self.actor, "Attributes": dict(self.attributes)},
            "scope": SCOPE,
            "time": self.time // 1_000_000_000,
            "timeNano": self.time,
        }


class Filter:
    """The values of ``--filter``: of one key any may fit, of different keys all must, of labels all must.

    Raises: InvalidRequest for a key that nobody knows.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._wanted: dict[str, list[str]] = {}
        for key, value in pairs:
            if key not in (*_KINDS, *_UNKNOWN_HERE, "event", "label", "scope", "type"):
                raise InvalidRequest(f"invalid filter '{key}'")
            self._wanted.setdefault(key, []).append(value)

    def admits(self, event: Happening) -> bool:
        """Whether an event is to be shown."""
        return all(self._fits(key, values, event) for key, values in self._wanted.items())

    def _fits(self, key: str, values: Sequence[str], event: Happening) -> bool:
        if key == "label":
            return all(has_label(event.attributes, value) for value in values)
        return any(_is(key, value, event) for value in values)


def _is(key: str, value: str, event: Happening) -> bool:
    if key == "event":
        return value in (event.action, event.action.partition(":")[0])
    if key == "type":
        return value == event.kind
    if key == "scope":
        return value == SCOPE
    if key == "image":
        names = (event.attributes.get("image" if event.kind == "container" else "name", ""), event.actor)
        return value in (*names, names[0].rpartition(":")[0])
    name = event.attributes.get("name", "")
    return key == event.kind and bool(value) and (value == name or event.actor.startswith(value))
