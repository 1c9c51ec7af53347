"""The layers of images as a tree: images that begin with the same layers share a branch."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest


@dataclass(frozen=True, slots=True)
class LayeredImage:
    """An image (or container): what to call it, and its layers with their sizes, base first."""

    name: str
    diff_ids: tuple[Digest, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """One layer on a certain stack: how many images need it there, which of them end with it, and what is above."""

    diff_id: Digest
    size: int
    users: int
    ends: tuple[str, ...]
    above: tuple[Branch, ...]


def branches(images: Sequence[LayeredImage], depth: int = 0) -> tuple[Branch, ...]:
    """Return the branches that images have above ``depth`` layers that they share; the most needed first."""
    groups: dict[Digest, list[LayeredImage]] = {}
    for image in images:
        if len(image.diff_ids) > depth:
            groups.setdefault(image.diff_ids[depth], []).append(image)
    found = [
        Branch(
            diff_id,
            members[0].sizes[depth],
            len(members),
            tuple(sorted(image.name for image in members if len(image.diff_ids) == depth + 1)),
            branches(members, depth + 1),
        )
        for diff_id, members in groups.items()
    ]
    return tuple(sorted(found, key=lambda branch: (-branch.users, branch.diff_id.hex)))
