"""How much of a file is as it was: what copying the whole of it has cost for nothing."""

from __future__ import annotations

from itertools import takewhile

from minidock.store.content import Stretch

_CHUNK = 1 << 20
_BLOCK = 4096


def shared_size(before: Stretch, after: Stretch) -> int:
    """Return how many bytes of ``after`` are those of ``before``, each counted once.

    Counted are the bytes at the beginning and at the end that are equal, and between them the blocks of 4,096 bytes
    that are equal and stand at the same place: what an editor, a program that appends, and a database leave alone.
    """
    shorter = min(before.size, after.size)
    head = _equal_head(before, after, shorter)
    tail = _equal_tail(before, after, shorter - head)
    return head + tail + _equal_blocks(before, after, head, shorter - tail)


def _equal_head(before: Stretch, after: Stretch, limit: int) -> int:
    found = 0
    while found < limit:
        size = min(_CHUNK, limit - found)
        old, new = before.read(found, size), after.read(found, size)
        if old != new or not old:
            return found + _common(old, new)
        found += len(old)
    return found


def _equal_tail(before: Stretch, after: Stretch, limit: int) -> int:
    found = 0
    while found < limit:
        size = min(_CHUNK, limit - found)
        old, new = (side.read(side.size - found - size, size) for side in (before, after))
        if old != new or not old:
            return found + _common(old[::-1], new[::-1])
        found += size
    return found


def _common(old: bytes, new: bytes) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))


def _equal_blocks(before: Stretch, after: Stretch, start: int, end: int) -> int:
    """Return the bytes of whole blocks between ``start`` and ``end`` that are equal."""
    found = 0
    first = -(-start // _BLOCK) * _BLOCK
    for offset in range(first, end - _BLOCK + 1, _CHUNK):
        size = min(_CHUNK, (end - offset) // _BLOCK * _BLOCK)
        old, new = before.read(offset, size), after.read(offset, size)
        if old == new:
            found += len(old)
            continue
        blocks = range(0, min(len(old), len(new)) - _BLOCK + 1, _BLOCK)
        found += sum(_BLOCK for place in blocks if old[place : place + _BLOCK] == new[place : place + _BLOCK])
    return found
