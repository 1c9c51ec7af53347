"""Entries as the rows that an entry index holds."""

from __future__ import annotations

import gc
import json
import zlib
from collections.abc import Sequence
from typing import Any

from minidock.core.canonical import dumps
from minidock.core.entries import Entry

_XATTRS, _PARTS = Entry._fields.index("xattrs"), Entry._fields.index("parts")


def rows_of(entries: Sequence[Entry]) -> tuple[list[tuple[object, ...]], bool]:
    """Return the rows of entries, and whether they have the last field.

    What minidock 0 could read is written as it was: without that field, which nearly no layer needs.
    """
    has_parts = any(entry.parts for entry in entries)
    return [tuple(entry) if has_parts else entry[:_PARTS] for entry in entries], has_parts


def packed(rows: Sequence[tuple[object, ...]]) -> bytes:
    """Return rows as an index has them."""
    return zlib.compress(dumps(rows), 1)


def unpacked(body: bytes) -> list[Entry]:
    """Return the entries of an index; looking for circles of garbage meanwhile would take as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return entries_of(json.loads(zlib.decompress(body)))
    finally:
        if was_enabled:
            gc.enable()


def entries_of(rows: list[list[Any]]) -> list[Entry]:
    """Return the entries that rows are, as JSON has them."""
    return [_entry(row) for row in rows]


def _entry(row: list[Any]) -> Entry:
    row[_XATTRS] = tuple((name, value) for name, value in row[_XATTRS]) if row[_XATTRS] else ()
    if len(row) > _PARTS:
        row[_PARTS] = tuple((start, size) for start, size in row[_PARTS])
    else:
        row.append(())
    return Entry._make(row)
