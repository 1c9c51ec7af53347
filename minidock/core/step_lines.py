"""Where the steps of an image stand in its Dockerfile, and what a COPY --from took its files from.

An image says nothing of its Dockerfile, and its ID must not depend on where a line stands there. So all of this is
kept beside the name of an image in index.json, as text of one line: it goes where the image goes, and only there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.errors import InvalidDigest


@dataclass(frozen=True, slots=True)
class CopiedFrom:
    """What a COPY --from took its files from, and which.

    ``name`` is the stage or image as the instruction calls it, ``image_id`` what that was, ``lines`` where the steps of
    a stage stand. The other fields are the words of the instruction, ``destination`` an absolute path.
    """

    name: str
    image_id: Digest
    is_stage: bool
    sources: tuple[str, ...]
    destination: str
    keeps_parents: bool = False
    excludes: tuple[str, ...] = ()
    is_linked: bool = False
    lines: tuple[StepLines | None, ...] = ()


@dataclass(frozen=True, slots=True)
class StepLines:
    """Where an instruction stands: a Dockerfile as the build was told it, and lines (1-based, inclusive).

    ``copied`` is what it took its files from, if that was a stage or image.
    """

    filename: str
    first: int
    last: int
    copied: CopiedFrom | None = None

    def __str__(self) -> str:
        lines = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.filename}:{lines}"


def lines_to_text(lines: Sequence[StepLines | None]) -> str:
    """Return the lines of steps as `lines_from_text` reads them; nothing if no line is known.

    ``{"files": names, "steps": [null | [file, first, last] | [file, first, last, copy] …], "copies": […]}``, where
    files and copies are named by their positions: several steps may have copied from one stage.
    """
    if not any(lines):
        return ""
    writer = _Writer()
    rows = writer.rows(lines)
    copies = {"copies": writer.copies} if writer.copies else {}
    return dumps({"files": writer.files, "steps": rows, **copies}).decode()


class _Writer:
    """Collects names of files, and copies, each once; a copy stands behind those that its own steps refer to."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.copies: list[dict[str, Any]] = []

    def rows(self, lines: Sequence[StepLines | None]) -> list[list[int] | None]:
        return [None if item is None else self._row(item) for item in lines]

    def _row(self, item: StepLines) -> list[int]:
        row = [_place(self.files, item.filename), item.first, item.last]
        return row if item.copied is None else [*row, _place(self.copies, self._members(item.copied))]

    def _members(self, copied: CopiedFrom) -> dict[str, Any]:
        return {
            "name": copied.name,
            "image": str(copied.image_id),
            "stage": copied.is_stage,
            "sources": copied.sources,
            "destination": copied.destination,
            "parents": copied.keeps_parents,
            "excludes": copied.excludes,
            "link": copied.is_linked,
            "steps": self.rows(copied.lines),
        }


def _place(known: list[Any], item: Any) -> int:
    if item not in known:
        known.append(item)
    return known.index(item)


def lines_from_text(text: str) -> tuple[StepLines | None, ...]:
    """Return the lines of steps, oldest first, None where none is known; nothing of a text that makes no sense."""
    try:
        members = json.loads(text)
        files = [str(name) for name in members["files"]]
        copies: list[CopiedFrom] = []
        for item in members.get("copies", ()):
            copies.append(_copied(item, _lines(item["steps"], files, copies)))
        return _lines(members["steps"], files, copies)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, InvalidDigest):
        return ()  # another program has written it: an image can do without


def _lines(
    rows: Sequence[Sequence[int] | None], files: Sequence[str], copies: Sequence[CopiedFrom]
) -> tuple[StepLines | None, ...]:
    return tuple(
        None
        if row is None
        else StepLines(files[int(row[0])], int(row[1]), int(row[2]), copies[row[3]] if len(row) > 3 else None)
        for row in rows
    )


def _copied(members: dict[str, Any], lines: tuple[StepLines | None, ...]) -> CopiedFrom:
    return CopiedFrom(
        str(members["name"]),
        Digest.parse(members["image"]),
        bool(members["stage"]),
        tuple(map(str, members["sources"])),
        str(members["destination"]),
        bool(members["parents"]),
        tuple(map(str, members["excludes"])),
        bool(members["link"]),
        lines,
    )
