"""How much of the disk files take: allocated blocks, each inode once, as `du` counts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

_UNIT = 512  # of st_blocks, whatever the file system's blocks are


def files_below(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield ``path`` and everything below it, links not followed; what vanishes meanwhile or is closed is left out."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    yield path, status
    pending = [path] if os.path.isdir(path) and not os.path.islink(path) else []
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as listing:
                items = list(listing)
        except (FileNotFoundError, PermissionError):
            continue
        for item in items:
            try:
                yield item.path, item.stat(follow_symlinks=False)
                if item.is_dir(follow_symlinks=False):
                    pending.append(item.path)
            except FileNotFoundError:
                continue


def allocated(paths: Iterable[str]) -> int:
    """Return the bytes that ``paths`` and all below them take; an inode with names elsewhere counts too."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for path in paths:
        for _, status in files_below(path):
            inode = (status.st_dev, status.st_ino)
            if inode not in seen:
                seen.add(inode)
                total += status.st_blocks * _UNIT
    return total
