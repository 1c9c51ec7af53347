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


def removable(paths: Iterable[str]) -> int:
    """Return the bytes that come back if distinct ``paths`` and all below them go: not those of files named elsewhere.

    None of ``paths`` may be below another one.
    """
    total = 0
    left: dict[tuple[int, int], int] = {}  # names of a file that have not been met yet
    for path in dict.fromkeys(paths):
        for _, status in files_below(path):
            inode = (status.st_dev, status.st_ino)
            names = 1 if stat.S_ISDIR(status.st_mode) else left.pop(inode, status.st_nlink)
            if names > 1:
                left[inode] = names - 1
            else:
                total += status.st_blocks * _UNIT
    return total


def rounded(size: int, path: str) -> int:
    """Return what a file of ``size`` bytes takes where ``path`` is, in whole blocks."""
    block = os.stat(path).st_blksize
    return -(-size // block) * block


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
