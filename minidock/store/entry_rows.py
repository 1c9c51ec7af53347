"""Entries as the rows that an entry index holds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from minidock.core.entries import Entry
from minidock.core.garbage import uncollected

_XATTRS, _PARTS = Entry._fields.index("xattrs"), Entry._fields.index("parts")
_LARGE = 1 << 20  # bytes, from which on igzip is worth the two milliseconds of loading it
_WIDTH = len(Entry._fields)
_MAKE = partial(tuple.__new__, Entry)  # `Entry._make` without its check of the length, in a third of the time


def rows_of(entries: Sequence[Entry], *, has_parts: bool) -> list[tuple[object, ...]]:
    """Return the rows of entries.

    What minidock 0 could read is written as it was: without the last field, which nearly no layer needs.
    """
    return [tuple(entry) if has_parts else entry[:_PARTS] for entry in entries]


def unpacked(body: bytes) -> list[Entry]:
    """Return the entries of an index; to look for garbage meanwhile would take as long again."""
    with uncollected():
        return entries_of(json.loads(_inflated(body)))


def _inflated(body: bytes) -> bytes:
    if len(body) > _LARGE:
        try:
            from isal import isal_zlib
        except ImportError:  # not to be had for this processor
            pass
        else:
            return isal_zlib.decompress(body)
    return zlib.decompress(body)


def entries_of(rows: list[list[Any]]) -> list[Entry]:
    """Return the entries that rows are, as JSON has them. The rows are used up. Raises: TypeError, ValueError."""
    for row in rows:
        row[_XATTRS] = tuple((name, value) for name, value in row[_XATTRS]) if row[_XATTRS] else ()
        if len(row) > _PARTS:
            row[_PARTS] = tuple((start, size) for start, size in row[_PARTS])
        else:
            row.append(())
    if any(map(_WIDTH.__ne__, map(len, rows))):
        raise ValueError("a row of an entry index has too many fields or too few")
    return list(map(_MAKE, rows))
