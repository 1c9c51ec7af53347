"""Canonical JSON: one value, one spelling, so that equal values have equal digests."""

from __future__ import annotations

import json
from typing import Any


def dumps(value: Any) -> bytes:
    """Return ``value`` as JSON without blanks, keys in the order given, non-ASCII text as UTF-8.

    Names that are not UTF-8 (surrogate escapes) are kept as ``\\udcXX`` escapes, which any JSON reader accepts.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
