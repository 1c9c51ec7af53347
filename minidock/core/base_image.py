"""The image that another one was built from: its name at that time, its ID, and how many layers are its own.

An image does not say so itself. It is kept beside the name of an image in index.json, as text of one line:
``LAYERS NAME@IMAGE-ID``, and ``0 scratch`` for an image that was built from nothing.
"""

from __future__ import annotations

import re

from minidock.core.dataclass import dataclass

_TEXT = re.compile(r"(?P<layers>[0-9]{1,6}) (?P<name>\S+?)(@(?P<image_id>sha256:[0-9a-f]{64}))?")


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What a FROM named, and what that was (empty for scratch); the first ``layers`` layers come from it."""

    name: str
    image_id: str
    layers: int

    def to_text(self) -> str:
        """Return what `from_text` reads."""
        return f"{self.layers} {self.name}" + (f"@{self.image_id}" if self.image_id else "")

    @classmethod
    def from_text(cls, text: str) -> BaseImage | None:
        """Return the base that a text tells of, None if it makes no sense: an image can do without."""
        match = _TEXT.fullmatch(text)
        return None if match is None else cls(match["name"], match["image_id"] or "", int(match["layers"]))
