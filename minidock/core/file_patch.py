"""One file before and after, as a patch tells it."""

from __future__ import annotations

from minidock.core.dataclass import dataclass
from minidock.core.entries import Entry

MOST_BYTES = 4 << 20  # of a file that is compared line by line


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What became of the file at ``path``; a side that is not there is None.

    ``texts`` are the contents before and after, the target of a symbolic link for one; None if one of them is no text,
    is too large (`MOST_BYTES`) or could not be read, of which ``problem`` tells. ``has_same_content`` holds for all;
    ``sizes`` are the content bytes of both.
    """

    path: str
    before: Entry | None
    after: Entry | None
    texts: tuple[bytes, bytes] | None = None
    has_same_content: bool = False
    sizes: tuple[int, int] = (0, 0)
    problem: str = ""
