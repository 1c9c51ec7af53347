"""Trees of layers, drawn with lines or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from minidock.core.layer_tree import Branch
from minidock.core.units import human_size


def tree_lines(branches: Sequence[Branch], indent: str = "", *, is_top: bool = True) -> Iterator[str]:
    """Yield a line for each layer: its size, how many images need it there, and the images that end with it."""
    for number, branch in enumerate(branches):
        is_last = number == len(branches) - 1
        corner, bar = ("", "") if is_top else (("└─ ", "   ") if is_last else ("├─ ", "│  "))
        shared = f"  shared by {branch.users}" if branch.users > 1 else ""
        ends = f"  {'; '.join(branch.ends)}" if branch.ends else ""
        yield f"{indent}{corner}{branch.diff_id.short}  {human_size(branch.size)}{shared}{ends}"
        yield from tree_lines(branch.above, indent + bar, is_top=False)


def tree_members(branches: Iterable[Branch]) -> list[dict[str, Any]]:
    """Return the tree as JSON values."""
    return [
        {
            "Layer": str(branch.diff_id),
            "Size": branch.size,
            "Users": branch.users,
            "Images": list(branch.ends),
            "Above": tree_members(branch.above),
        }
        for branch in branches
    ]
