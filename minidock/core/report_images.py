"""Which images the report is about, and in which order: neighbours begin with the same layers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.step_lines import StepLines

MOST_IMAGES = 1000
MOST_DETAILED = 40


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image as the store has it: names, sorted; how many containers were made from it; lines of its first steps."""

    image_id: Digest
    names: tuple[str, ...]
    config: ImageConfig
    containers: int = 0
    lines: tuple[StepLines | None, ...] = ()

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """Its layers, base first."""
        return self.config.diff_ids


@dataclass(frozen=True, slots=True)
class Choice:
    """The images of the report in the order of the page, those among them that are told in detail, what is missing."""

    images: tuple[FoundImage, ...]
    detailed: tuple[FoundImage, ...]
    left_out: tuple[str, ...] = ()


def choose(images: Sequence[FoundImage], sizes: Mapping[Digest, int], wanted: Collection[Digest] = ()) -> Choice:
    """Return which of all ``images`` to show: with ``wanted`` those and whoever shares layers with them, else all.

    Details are for the wanted ones, or the newest. ``sizes`` are the layers' content bytes.
    """
    asked = [image for image in images if image.image_id in wanted]
    layers = {diff_id for image in asked for diff_id in image.diff_ids}
    shown = [image for image in images if image in asked or not layers.isdisjoint(image.diff_ids)] if wanted else images
    newest = sorted(shown, key=lambda image: (image.config.created or "", image.names, image.image_id), reverse=True)
    kept = [*asked, *(image for image in newest if image.image_id not in wanted)][:MOST_IMAGES]
    detailed = (asked or newest)[:MOST_DETAILED]
    left_out = []
    if len(shown) > len(kept):
        left_out.append(f"the {len(shown) - len(kept):,} oldest of {len(shown):,} images")
    candidates = asked or kept
    if len(candidates) > len(detailed):
        count = len(candidates) - len(detailed)
        left_out.append(
            f"steps and files of {count:,} older images: `minidock report IMAGE` tells those of the ones it names"
        )
    return Choice(tuple(in_tree_order(kept, sizes)), tuple(detailed), tuple(left_out))


def in_tree_order(images: Iterable[FoundImage], sizes: Mapping[Digest, int]) -> list[FoundImage]:
    """Return images so that those which share their first layers are neighbours at every depth.

    A branch with more bytes comes before one with fewer, an image before those that are built on it.
    """
    found: list[FoundImage] = []
    pending = [(list(images), 0)]
    while pending:
        members, depth = pending.pop()
        found += sorted(
            (image for image in members if len(image.diff_ids) == depth),
            key=lambda image: (image.names, image.image_id),
        )
        branches: dict[Digest, list[FoundImage]] = {}
        for image in members:
            if len(image.diff_ids) > depth:
                branches.setdefault(image.diff_ids[depth], []).append(image)
        pending += [(branch, depth + 1) for branch in _smallest_first(branches, depth, sizes)]
    return found


def _smallest_first(
    branches: Mapping[Digest, list[FoundImage]], depth: int, sizes: Mapping[Digest, int]
) -> list[list[FoundImage]]:
    if len(branches) < 2:
        return list(branches.values())  # there is nothing to compare: most images are long and have few branches
    ordered = sorted(branches, key=lambda diff_id: (_size_above(branches[diff_id], depth, sizes), diff_id.hex))
    return [branches[diff_id] for diff_id in ordered]


def _size_above(images: Sequence[FoundImage], depth: int, sizes: Mapping[Digest, int]) -> int:
    """Return the bytes of the distinct layers that images have from ``depth`` on."""
    return sum(sizes[diff_id] for diff_id in {diff_id for image in images for diff_id in image.diff_ids[depth:]})
