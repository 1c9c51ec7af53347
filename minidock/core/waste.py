"""Bytes that an image stores and does not show, and which step is to blame for each of them: pure, from its layers.

Every stored file that is hidden or a duplicate (`core.stored_files`) is wasted, once, and stands in one `Part`: what
one step did, for one cause, to the files of one earlier step. A file that was hidden is blamed on the step that hid
it, and its bytes are in the layer of the earlier one; a duplicate is blamed on the step that stored it again, and its
bytes are in that step's own layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.entries import Entry
from minidock.core.image_steps import ImageStep
from minidock.core.stored_files import StoredFile, Way, layer_bytes, stored_files


class Cause(StrEnum):
    """What a step did to files of an earlier one."""

    DELETED = "deleted"
    OVERWRITTEN = "overwritten"
    MODE = "mode"  # changed, and nothing else but perhaps the time
    OWNER = "owner"
    ATTRIBUTES = "attributes"  # mode and owner, or extended attributes
    MOVED = "moved"
    REWRITTEN = "rewritten"  # with the same content

    @property
    def is_copy(self) -> bool:
        """Whether the bytes are in the blamed step's layer: it stored again what was there."""
        return self not in (Cause.DELETED, Cause.OVERWRITTEN)


class WastedFile(NamedTuple):
    """A file whose bytes are wasted; for a duplicate ``original`` is the earlier entry that it replaced."""

    entry: Entry
    original: Entry | None = None
    hidden_by: str = ""  # the path whose entry hides it

    @property
    def size(self) -> int:
        """The bytes."""
        return self.entry.size


@dataclass(frozen=True, slots=True)
class Part:
    """What the step of layer ``blamed`` did to ``files`` (the largest first) of the layer ``victim``, an earlier one.

    ``is_base`` if the bytes are in a layer of the base image: no change of the later steps saves them. ``advice`` is
    the change that saves all of them, empty if none is known to be right.
    """

    blamed: int
    victim: int
    cause: Cause
    files: tuple[WastedFile, ...]
    is_base: bool = False
    advice: str = ""

    @property
    def size(self) -> int:
        """The bytes that are wasted."""
        return sum([file.entry.size for file in self.files])


@dataclass(frozen=True, slots=True)
class Blame:
    """All that one step is to blame for, the largest part first; ``layer`` is its layer (base 0)."""

    layer: int
    step: ImageStep
    place: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """The bytes that are wasted."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class Waste:
    """The waste of one image, steps with the most first. ``places`` say where the step of each layer stands.

    ``size`` are all bytes of content that the image stores, ``base_size`` those in the layers of its base image, which
    are the first ``base_layers``.
    """

    size: int
    base_size: int
    base_layers: int
    blames: tuple[Blame, ...]
    places: tuple[str, ...]
    steps: tuple[ImageStep, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of all steps."""
        return tuple(part for blame in self.blames for part in blame.parts)

    @property
    def wasted(self) -> int:
        """The bytes that are stored and not shown."""
        return sum(part.size for part in self.parts)

    @property
    def base_wasted(self) -> int:
        """Those of them that are in layers of the base image."""
        return sum(part.size for part in self.parts if part.is_base)

    @property
    def own_wasted(self) -> int:
        """Those of them that other instructions could save."""
        return self.wasted - self.base_wasted

    @property
    def advised(self) -> int:
        """Those of them that the advised changes save."""
        return sum(part.size for part in self.parts if part.advice)

    @property
    def efficiency(self) -> float:
        """The share of the stored bytes that is shown, 1.0 for an empty image."""
        return (self.size - self.wasted) / self.size if self.size else 1.0


def find_waste(steps: Sequence[ImageStep], layers: Sequence[Sequence[Entry]], base_layers: int = 0) -> Waste:
    """Return the waste of an image without any advice.

    ``steps`` are those of its whole history, oldest first, ``layers`` the entries of its layers, base first; the first
    ``base_layers`` of them are its base image's.
    """
    numbered = [(step, number) for number, step in enumerate(steps, 1) if step.layer is not None]
    of_layers = tuple(step for step, _ in numbered)
    places = tuple(place_of(step, number) for step, number in numbered)
    stored = stored_files(layers)
    found: dict[tuple[int, int, Cause], list[WastedFile]] = {}
    for files in stored:
        for file in files:
            if (file.hiding is not None or file.original is not None) and file.entry.size:
                key = _blame(file)
                if key not in found:
                    found[key] = []
                found[key].append(_wasted(file))
    parts = [
        Part(blamed, victim, cause, _largest_first(files), (blamed if cause.is_copy else victim) < base_layers)
        for (blamed, victim, cause), files in found.items()
    ]
    sizes = [layer_bytes(files).added for files in stored]
    blames = tuple(_blames(parts, of_layers, places))
    return Waste(sum(sizes), sum(sizes[:base_layers]), base_layers, blames, places, of_layers)


def with_advice(waste: Waste, advices: dict[tuple[int, int, Cause], str]) -> Waste:
    """Return the same waste with advice for the parts of (blamed, victim, cause)."""

    def advised(part: Part) -> Part:
        return replace(part, advice=advices.get((part.blamed, part.victim, part.cause), ""))

    blames = tuple(replace(blame, parts=tuple(map(advised, blame.parts))) for blame in waste.blames)
    return replace(waste, blames=blames)


def place_of(step: ImageStep, number: int) -> str:
    """Return where a step stands: in its Dockerfile, or as the how-manieth in the history of the image (from 1)."""
    return f"step {number}" if step.lines is None else str(step.lines)


def _blames(parts: Sequence[Part], steps: Sequence[ImageStep], places: Sequence[str]) -> Iterator[Blame]:
    sums: dict[int, int] = {}
    for part in parts:
        sums[part.blamed] = sums.get(part.blamed, 0) + part.size
    for layer in sorted(sums, key=lambda layer: (-sums[layer], layer)):
        own = sorted((part for part in parts if part.blamed == layer), key=lambda part: (-part.size, part.victim))
        yield Blame(layer, steps[layer], places[layer], tuple(own))


def _largest_first(files: list[WastedFile]) -> tuple[WastedFile, ...]:
    files.sort(key=lambda file: file.entry.path)  # twice, since they come sorted by path: nothing is left to do
    files.sort(key=lambda file: file.entry.size, reverse=True)
    return tuple(files)


def _wasted(file: StoredFile) -> WastedFile:
    original = None if file.original is None else file.original.entry
    return WastedFile(file.entry, original, "" if file.hiding is None else file.hiding.path)


def _blame(file: StoredFile) -> tuple[int, int, Cause]:
    """Return the layer to blame for a wasted file, the layer that it did something to, and what."""
    if file.original is not None:
        return file.layer, file.original.layer, _why_stored_again(file.original.entry, file.entry)
    assert file.hiding is not None
    is_deleted = file.hiding.way in (Way.DELETED, Way.EMPTIED)
    return file.hiding.layer, file.layer, Cause.DELETED if is_deleted else Cause.OVERWRITTEN


def _why_stored_again(before: Entry, after: Entry) -> Cause:
    if before.path != after.path:
        return Cause.MOVED
    changed = (before.mode != after.mode, (before.uid, before.gid) != (after.uid, after.gid))
    if before.xattrs != after.xattrs or all(changed):
        return Cause.ATTRIBUTES
    if any(changed):
        return Cause.MODE if changed[0] else Cause.OWNER
    return Cause.REWRITTEN
