"""How much of the disk files take: allocated blocks, each inode once, as `du` counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

UNIT = 512  # of st_blocks, whatever the file system's blocks are


def files_below(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield ``path`` and everything below it, links not followed.

    What vanishes meanwhile, is closed or is nested deeper than a path can say is left out.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    yield path, status
    if stat.S_ISDIR(status.st_mode):
        for folder, items in folders_below(path):
            for name, status in items:
                yield f"{folder}/{name}", status


def folders_below(path: str) -> Iterator[tuple[str, list[tuple[str, os.stat_result]]]]:
    """Yield the folder ``path`` and every one below it, each with the names and the status of what it holds.

    The same is left out as by `files_below`.
    """
    pending = [path]
    while pending:
        folder = pending.pop()
        found = []
        try:
            with os.scandir(folder) as listing:
                items = list(listing)
        except OSError:
            continue
        for item in items:
            try:
                status = item.stat(follow_symlinks=False)
            except OSError:
                continue
            found.append((item.name, status))
            if stat.S_ISDIR(status.st_mode):
                pending.append(item.path)
        yield folder, found


def removable(paths: Iterable[str]) -> int:
    """Return the bytes that come back if distinct ``paths`` and all below them go: not those of files named elsewhere.

    None of ``paths`` may be below another one.
    """
    total = 0
    left: dict[tuple[int, int], int] = {}  # names of a file that have not been met yet
    for path in dict.fromkeys(paths):
        for _, status in files_below(path):
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                inode = (status.st_dev, status.st_ino)
                names = left.pop(inode, status.st_nlink)
                if names > 1:
                    left[inode] = names - 1
                    continue
            total += status.st_blocks * UNIT
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
                total += status.st_blocks * UNIT
    return total
