"""The lines in which two texts differ, as a unified diff.

Lines end with a newline and nothing else, as for diff(1), patch(1) and git. What is not UTF-8 keeps its bytes, as
surrogate escapes. Source: POSIX, diff, "Diff -u or -U Output Format"; git-diff, "Generating patch text with -p".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

_CONTEXT = 3
# Comparing is quadratic in lines that come often on both sides; beyond this it would take more than seconds.
_MOST_PAIRS = 2_000_000
_FEW_LINES, _POPULAR_SHARE = 200, 100  # difflib itself leaves lines aside that make up more than one in a hundred
_BINARY_PROBE = 8000  # bytes in which git looks for a NUL

_Code = tuple[str, int, int, int, int]  # of difflib: what was done to which lines of the one and of the other


def is_text(content: bytes) -> bool:
    """Whether git would show ``content`` line by line: there is no NUL near its beginning."""
    return b"\0" not in content[:_BINARY_PROBE]


def hunks(before: bytes, after: bytes) -> Iterator[str]:
    """Yield the lines of a unified diff without its two lines of names, none of them with its newline.

    Nothing for equal texts. Texts that would take too long to compare are told as one change from the first line that
    differs to the last.
    """
    old, new = _lines(before), _lines(after)
    first, rest = _equal_ends(old, new)
    lead = max(0, first - _CONTEXT)
    tail = max(0, rest - _CONTEXT)
    old_part, new_part = old[lead : len(old) - tail], new[lead : len(new) - tail]
    groups: Iterable[list[_Code]]
    if _pairs(old_part, new_part) > _MOST_PAIRS:
        groups = [_one_change(first - lead, rest - tail, len(old_part), len(new_part))]
    else:
        groups = SequenceMatcher(None, old_part, new_part).get_grouped_opcodes(_CONTEXT)
    for group in groups:
        if all(kind == "equal" for kind, *_ in group):
            continue
        (_, start, _, other, _), (_, _, end, _, other_end) = group[0], group[-1]
        yield f"@@ -{_range(start + lead, end + lead)} +{_range(other + lead, other_end + lead)} @@"
        for kind, start, end, other, other_end in group:
            if kind == "equal":
                yield from _marked(" ", old_part[start:end])
            else:
                yield from _marked("-", old_part[start:end])
                yield from _marked("+", new_part[other:other_end])


def _lines(content: bytes) -> list[str]:
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    last = lines.pop()
    return [f"{line}\n" for line in lines] + ([last] if last else [])


def _equal_ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """Return how many lines are equal at the beginning and, of the others, at the end."""
    shorter = min(len(old), len(new))
    first = next((number for number in range(shorter) if old[number] != new[number]), shorter)
    left = shorter - first
    return first, next((number for number in range(left) if old[-1 - number] != new[-1 - number]), left)


def _pairs(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many pairs of equal lines difflib would look at."""
    counts = Counter(new)
    if len(new) >= _FEW_LINES:
        most = len(new) // _POPULAR_SHARE + 1
        counts = Counter({line: count for line, count in counts.items() if count <= most})
    return sum(counts[line] for line in old)


def _one_change(first: int, rest: int, size: int, other_size: int) -> list[_Code]:
    """Return opcodes: ``first`` equal lines, all the others changed, ``rest`` equal lines."""
    codes = [
        ("equal", 0, first, 0, first),
        ("replace", first, size - rest, first, other_size - rest),
        ("equal", size - rest, size, other_size - rest, other_size),
    ]
    return [code for code in codes if code[1] < code[2] or code[3] < code[4]]


def _range(start: int, end: int) -> str:
    """Return lines ``start`` to ``end`` (from 0, the last one excluded) as a hunk names them."""
    count = end - start
    if count == 1:
        return str(start + 1)
    return f"{start + 1 if count else start},{count}"


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield mark + line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"
