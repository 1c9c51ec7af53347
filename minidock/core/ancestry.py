"""Which images are steps of which: an image's steps are images too, with the beginning of its layers and history."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, MutableMapping
from typing import Any, NamedTuple, Protocol

from minidock.core.digest import Digest


class HasLineage(Protocol):
    """What an image was made of: a config, or a `Lineage`."""

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The layers, base first."""

    @property
    def history(self) -> tuple[Hashable, ...]:
        """The instructions."""


class Lineage(NamedTuple):
    """What a config says of layers, history and time (RFC 3339): a tenth of the time that the whole config takes."""

    diff_ids: tuple[Digest, ...]
    history: tuple[Hashable, ...]
    created: str | None = None

    @classmethod
    def from_bytes(cls, data: bytes, shared: MutableMapping[Hashable, Any]) -> Lineage:
        """Return what a config says, equal for those of which `ImageConfig` is equal in this.

        ``shared`` gathers the parts of all that are read with it: steps of an image have most in common with it, and
        what is one object is compared in no time.

        Raises: ValueError, TypeError, KeyError, AttributeError, InvalidDigest.
        """
        members = json.loads(data)
        history = [
            (
                entry.get("created"),
                entry.get("created_by", ""),
                entry.get("comment", ""),
                entry.get("author", ""),
                bool(entry.get("empty_layer", False)),
            )
            for entry in members.get("history") or ()
        ]
        diff_ids = []
        for text in (members.get("rootfs") or {}).get("diff_ids") or ():
            if text not in shared:
                shared[text] = Digest.parse(text)
            diff_ids.append(shared[text])
        return cls(tuple(diff_ids), tuple(shared.setdefault(entry, entry) for entry in history), members.get("created"))


def is_step_of(step: HasLineage, image: HasLineage) -> bool:
    """Whether ``image`` was built on ``step``, or is it: its layers and history begin with those of ``step``."""
    layers, entries = len(step.diff_ids), len(step.history)
    return (
        step.diff_ids == image.diff_ids[:layers]
        and step.history == image.history[:entries]
        and (layers > 0 or entries > 0)
    )


class Steps:
    """The steps of many images, for asking often whether one is among them (`is_step_of`)."""

    def __init__(self, images: Iterable[HasLineage]) -> None:
        # A layer or a history entry is at one place of few images: only those are worth comparing.
        self._by_history: dict[tuple[int, int], list[HasLineage]] = {}
        self._by_layers: dict[tuple[int, int], list[HasLineage]] = {}
        for image in images:
            for place, entry in enumerate(image.history):
                self._by_history.setdefault((place, hash(entry)), []).append(image)
            for place, diff_id in enumerate(image.diff_ids):
                self._by_layers.setdefault((place, hash(diff_id)), []).append(image)

    def __contains__(self, step: HasLineage) -> bool:
        """Whether an image was built on ``step``, or is it."""
        found: list[HasLineage] = []
        if step.diff_ids:
            found = self._by_layers.get((len(step.diff_ids) - 1, hash(step.diff_ids[-1])), [])
        if step.history:
            same = self._by_history.get((len(step.history) - 1, hash(step.history[-1])), [])
            found = same if not step.diff_ids or len(same) < len(found) else found
        for image in found:  # noqa: SIM110  # any() takes twice as long, and most have one
            if is_step_of(step, image):
                return True
        return False
