"""How much of the disk files take: allocated blocks, each inode once, as `du` counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

_UNIT = 512  # of st_blocks, whatever the file system's blocks are


def files_below(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield ``path`` and everything below it, links not followed.

    What vanishes meanwhile, is closed or is nested deeper than a path can say is left out.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    yield path, status
    pending = [path] if stat.S_ISDIR(status.st_mode) else []
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as listing:
                items = list(listing)
        except OSError:
            continue
        for item in items:
            try:
                status = item.stat(follow_symlinks=False)
            except OSError:
                continue
            yield item.path, status
            if stat.S_ISDIR(status.st_mode):
                pending.append(item.path)


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
