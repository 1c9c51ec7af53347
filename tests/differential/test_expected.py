"""The project's own cases give what BuildKit made of them; `python -m tests.differential` asks a real one again."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential import expected
from tests.differential.__main__ import add_bases, base_tree
from tests.differential.builders import Minidock
from tests.differential.case import Case
from tests.differential.collect import own_cases
from tests.differential.compare import DEVIATIONS, comparable, deviation_of, differences
from tests.differential.result import Result

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="the results name owners that only root can give"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="recorded on x86_64, which some of the cases print"),
]

# Differences that are known and still open.
_OPEN = frozenset(
    (
        "add-archive-absolute",
        "add-archive-dir-over-file",
        "add-archive-empty",
        "add-archive-file-over-dir",
        "add-archive-link-over-dir",
        "add-archive-over-links",
        "add-archive-through-own-link",
        "add-archive-whiteout-name",
        "stages-by-number",
    )
)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minidock]:
    builder = Minidock(tmp_path_factory.mktemp("differential"))
    add_bases(builder)
    yield builder


@pytest.fixture(scope="module")
def recorded() -> dict[str, Result]:
    return expected.read()


@pytest.mark.parametrize("case", own_cases(), ids=lambda case: case.name)
def test_a_case_gives_what_buildkit_gives(
    case: Case, builder: Minidock, recorded: dict[str, Result], tmp_path: Path
) -> None:
    if case.needs_run and not shutil.which("busybox"):
        pytest.skip("this machine has no static busybox")
    case.write(tmp_path / "context")
    made = comparable(builder.build(case, tmp_path / "context")).above(base_tree())
    found = list(differences(made, recorded[case.name]))
    if found and deviation_of(case.name):
        return
    if case.name in _OPEN:
        pytest.xfail("; ".join(found))
    assert found == []


def test_every_case_is_recorded(recorded: dict[str, Result]) -> None:
    assert set(recorded) == {case.name for case in own_cases()}


@pytest.mark.parametrize("words", sorted(set(DEVIATIONS.values())))
def test_deviations_are_told(words: str) -> None:
    told = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
    assert words in told.partition("## Building\n")[2].partition("\n## ")[0]
