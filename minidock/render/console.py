"""Where output goes and what time it is, passed to everything that prints."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, tzinfo
from typing import TextIO

from minidock.core.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Console:
    """Results go to ``out``, the rest to ``err``; ages count up to ``now``, times show in ``zone`` (None: local)."""

    out: TextIO
    err: TextIO
    now: datetime
    zone: tzinfo | None = None

    @classmethod
    def standard(cls) -> Console:
        """Return the console of this process at this moment."""
        return cls(sys.stdout, sys.stderr, datetime.now(UTC))
