from __future__ import annotations

from typing import Any

import pytest

from minidock.core.dockerfile.workdir import resolve_workdir
from tests.vectors import params


@pytest.mark.parametrize(
    ("current", "path", "expected"),
    [
        ("", "a", "/a"),
        ("/a", "b/../c/", "/a/c"),
        ("/a", "/b//c", "/b/c"),
        ("/a", "../../..", "/"),
        ("/a", "//b", "/b"),
        ("/a", ".", "/a"),
        ("", "", "/"),
    ],
)
def test_a_working_directory_is_absolute_and_cleaned(current: str, path: str, expected: str) -> None:
    assert resolve_workdir(current, path) == expected


# The cases of Windows are left out: minidock builds for Linux only.
@pytest.mark.parametrize("case", params("workdir", os="linux"))
def test_vectors_of_working_directories(case: dict[str, Any]) -> None:
    assert resolve_workdir(case["current"], case["workdir"]) == case["result"]
