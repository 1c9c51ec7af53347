"""How much an image may waste (`image waste --fail-above`): a size, or a share of the image."""

from __future__ import annotations

import re
from fractions import Fraction

from minidock.core.dataclass import dataclass
from minidock.core.units import parse_size
from minidock.errors import InvalidUnit

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")


@dataclass(frozen=True, slots=True)
class WasteLimit:
    """``text`` is the limit as it was given; one of ``size`` (bytes) and ``share`` (of 1) is there."""

    text: str
    size: int | None = None
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> WasteLimit:
        """Return the limit that ``10m``, ``0`` or ``12.5%`` means. Raises: InvalidUnit."""
        match = _PERCENT.fullmatch(text.strip())
        if match is None:
            return cls(text, parse_size(text))
        share = Fraction(match[1]) / 100
        if share > 1:
            raise InvalidUnit(f"invalid share: '{text}': it is at most 100%")
        return cls(text, share=share)

    def is_exceeded(self, wasted: int, size: int) -> bool:
        """Whether ``wasted`` bytes of an image of ``size`` bytes are more than this."""
        if self.share is not None:
            return wasted > self.share * size
        return self.size is not None and wasted > self.size
