"""The closest known name to one that somebody misspelt."""

from __future__ import annotations

from collections.abc import Iterable

_FAR = 3


def did_you_mean(written: str, known: Iterable[str], *, is_case_sensitive: bool = False) -> str:
    """Return `` (did you mean X?)`` for the closest of ``known`` names, empty if none is close or one is equal.

    Close is a Levenshtein distance below 3; of equally close names the first counts. Where case does not matter,
    the suggestion takes the case of ``written``. Source: BuildKit, util/suggest.
    """
    wanted = written if is_case_sensitive else written.lower()
    best, best_distance = "", _FAR
    for name in known:
        candidate = name if is_case_sensitive else name.lower()
        distance = _distance(wanted, candidate)
        if distance == 0:
            return ""
        if distance < best_distance:
            best, best_distance = candidate, distance
    if not best:
        return ""
    if not is_case_sensitive and written == written.upper():
        best = best.upper()
    return f" (did you mean {best}?)"


def _distance(left: str, right: str) -> int:
    if abs(len(left) - len(right)) >= _FAR:
        return _FAR
    row = list(range(len(right) + 1))
    for index, character in enumerate(left, 1):
        previous, row[0] = row[0], index
        for column, other in enumerate(right, 1):
            replaced = previous + (character != other)
            previous = row[column]
            row[column] = min(replaced, row[column] + 1, row[column - 1] + 1)
    return row[-1]
