"""Names that nobody has chosen. The standard library's `secrets` would load as much as all the rest of `run`."""

from __future__ import annotations

import os
from collections.abc import Sequence

_SIZE = 32


def new_id() -> str:
    """Return 64 hexadecimal digits that nothing else is called."""
    return os.urandom(_SIZE).hex()


def pick(words: Sequence[str]) -> str:
    """Return one of several words."""
    return words[int.from_bytes(os.urandom(8), "little") % len(words)]
