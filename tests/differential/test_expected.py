"""The project's own cases give what BuildKit made of them; `python -m tests.differential` asks a real one again."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.differential import expected
from tests.differential.__main__ import add_bases, base_tree, own_bases
from tests.differential.builders import Minidock
from tests.differential.case import Case
from tests.differential.collect import own_cases
from tests.differential.compare import DEVIATIONS, comparable, deviation_of, differences
from tests.differential.result import Result

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="the results name owners that only root can give"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="recorded on x86_64, which some of the cases print"),
]

_SAMPLED = 12  # one of so many cases is in the fast tests, the others are slow together


def _parameters() -> Iterator[Any]:
    for number, case in enumerate(own_cases()):
        is_fast = number % _SAMPLED == 0 or deviation_of(case.name)
        yield pytest.param(case, id=case.name, marks=() if is_fast else pytest.mark.slow)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minidock]:
    builder = Minidock(tmp_path_factory.mktemp("differential"))
    add_bases(builder, own_bases())
    yield builder


@pytest.fixture(scope="module")
def recorded() -> dict[str, Result]:
    return expected.read()


@pytest.fixture(scope="module")
def deviations() -> dict[str, Result]:
    return expected.read(expected.DEVIATIONS)


@pytest.mark.parametrize("case", list(_parameters()))
def test_a_case_gives_what_buildkit_gives(
    case: Case, builder: Minidock, recorded: dict[str, Result], deviations: dict[str, Result], tmp_path: Path
) -> None:
    if case.needs_run and not shutil.which("busybox"):
        pytest.skip("this machine has no static busybox")
    case.write(tmp_path / "context")
    made = comparable(builder.build(case, tmp_path / "context")).above(base_tree())
    if case.name in deviations:
        assert made == deviations[case.name]
    else:
        assert list(differences(made, recorded[case.name])) == []


def test_every_case_is_recorded(recorded: dict[str, Result]) -> None:
    assert set(recorded) == {case.name for case in own_cases()}


def test_every_deviation_is_listed_and_is_one(recorded: dict[str, Result], deviations: dict[str, Result]) -> None:
    assert set(deviations) == {name for names in DEVIATIONS.values() for name in names}
    assert [name for name, ours in deviations.items() if not list(differences(ours, recorded[name]))] == []


@pytest.mark.parametrize("words", sorted(DEVIATIONS))
def test_deviations_are_told(words: str) -> None:
    told = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
    assert words in told.partition("## Building\n")[2].partition("\n## ")[0]
