"""The project's own cases."""

from __future__ import annotations

from collections.abc import Sequence

from tests.differential.case import Case
from tests.differential.cases import adding, copying, heredocs, ignoring, running, settings, words

FAMILIES: tuple[Sequence[Case], ...] = (
    copying.CASES,
    adding.CASES,
    words.CASES,
    settings.CASES,
    heredocs.CASES,
    ignoring.CASES,
    running.CASES,
)


def own_cases() -> tuple[Case, ...]:
    """Return the project's own cases, names unique."""
    found = tuple(case for family in FAMILIES for case in family)
    names = [case.name for case in found]
    assert len(set(names)) == len(names), sorted(name for name in set(names) if names.count(name) > 1)
    return found
