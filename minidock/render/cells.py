"""How wide text is on a terminal, and cutting it to a width."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

ELLIPSIS = "…"
GAP = 3
MINIMUM = 10


def width(text: str) -> int:
    """Return how many cells ``text`` takes: two for East Asian wide characters, none for combining ones."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


def cut(text: str, cells: int) -> str:
    """Return ``text``, or as much of it as fits into ``cells`` together with the ellipsis that ends it."""
    if width(text) <= cells:
        return text
    kept, taken = 0, 0
    for character in text:
        taken += _cells(character)
        if taken > cells - 1:
            break
        kept += 1
    return text[:kept] + ELLIPSIS


def one_line(text: str) -> str:
    """Return ``text`` with control characters turned into blanks: they would break a table or steer the terminal."""
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as docker aligns it: columns of at least ten cells, three blanks apart, the last one not padded.

    Every line ends in a newline; without rows there is only the line of headers. Nothing is cut or folded.
    """
    *columns, last = zip(headers, *rows, strict=True)
    lines = zip(*map(_padded, columns), last, strict=True)
    return "\n".join(map("".join, lines)) + "\n"


def _padded(column: Sequence[str]) -> list[str]:
    """Return the cells of a column in its width; there may be 100,000."""
    if all(map(str.isascii, column)):
        cells = max(MINIMUM, max(map(len, column)) + GAP)
        return [cell.ljust(cells) for cell in column]
    widths = list(map(width, column))
    cells = max(MINIMUM, max(widths) + GAP)
    return [cell + " " * (cells - taken) for cell, taken in zip(column, widths, strict=True)]


def _line(line: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(cells) if cell.isascii() else cell + " " * (cells - width(cell))
        for cell, cells in zip(line[:-1], widths[:-1], strict=True)
    ]
    return "".join(padded) + line[-1] + "\n"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells in columns as `table` has them; a line may have fewer cells than another."""
    count = max(map(len, lines), default=0)
    widths = [
        max(MINIMUM, *(width(line[column]) + GAP for line in lines if len(line) > column + 1), 0)
        for column in range(count)
    ]
    return "".join(_line(line, widths[: len(line)]) for line in lines)
