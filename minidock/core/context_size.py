"""What a build context holds: how many files, how many bytes, and in which of its parts they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.entries import DIRECTORY, Entry


@dataclass(frozen=True, slots=True)
class Part:
    """A file, or a directory with all that is below it: ``files`` counts all but directories, ``size`` content."""

    path: str
    files: int
    size: int
    is_directory: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the part as a document has it."""
        return {"path": self.path, "files": self.files, "bytes": self.size, "directory": self.is_directory}


@dataclass(frozen=True, slots=True)
class ContextSize:
    """The files and content bytes of a context that ignore rules leave."""

    files: int
    size: int

    def to_json(self) -> dict[str, int]:
        """Return the counts as a document has them."""
        return {"files": self.files, "bytes": self.size}


def size_of(entries: Iterable[Entry]) -> ContextSize:
    """Return the counts of entries; every name of a file counts, as each is copied."""
    sizes = [entry.size for entry in entries if entry.kind != DIRECTORY]
    return ContextSize(len(sizes), sum(sizes))


def parts_of(entries: Sequence[Entry], depth: int) -> tuple[Part, ...]:
    """Return what lies ``depth`` levels down, and files above that: the largest first, then by path.

    What lies deeper counts for the directory at that level.
    """
    files: defaultdict[str, int] = defaultdict(int)
    sizes: defaultdict[str, int] = defaultdict(int)
    directories = set()
    for entry in entries:
        words = entry.path.split("/")
        path = "/".join(words[:depth])
        if entry.kind == DIRECTORY:
            if len(words) == depth:
                directories.add(path)
                files[path] += 0
            continue
        if len(words) > depth:
            directories.add(path)
        files[path] += 1
        sizes[path] += entry.size
    found = [Part(path, files[path], sizes[path], path in directories) for path in files]
    return tuple(sorted(found, key=lambda part: (-part.size, -part.files, part.path)))
