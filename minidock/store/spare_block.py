"""One block beside the content of a file, whether its map needs it or not.

ext4 keeps the map of a file of up to four pieces in its inode and takes a block for that of more: how many pieces a
file will have, nobody can tell before it is written. A list that every removal writes anew would so take a block more
or less than was foretold. One that may need a map therefore has a block in any case: that of the map, or a spare one.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.store.writer import Disk

_UNIT = 512  # of st_blocks
_PIECES = 4  # that need no block for their map


def may_need_map(size: int, block: int) -> bool:
    """Whether a file of ``size`` bytes may have more pieces than its inode can tell of; ``block`` bytes are one."""
    return size > _PIECES * block


def beside(status: os.stat_result) -> int:
    """Return the bytes that a file takes beside its content: those of its map, or of a spare block."""
    block = status.st_blksize
    return max(0, status.st_blocks * _UNIT - -(-status.st_size // block) * block)


def keep_spare_block(disk: Disk, fd: int) -> None:
    """Give a file that has reached the disk a spare block if its map may need one and has none.

    Nothing fails where there is no space for it, or no such thing: then a forecast may be wrong by a block.
    """
    status = os.fstat(fd)
    if not may_need_map(status.st_size, status.st_blksize) or beside(status):
        return
    end = status.st_size + -status.st_size % status.st_blksize
    try:
        disk.allocate(fd, end, status.st_blksize)
        if beside(os.fstat(fd)) > status.st_blksize:  # one more piece, and so a map: that is the block
            disk.truncate(fd, status.st_size)
    except OSError:
        return
