"""What metadata instructions do to the config."""

from __future__ import annotations

from typing import Any

import pytest

from minidock.core.metadata import with_variables
from tests.vectors import params


@pytest.mark.parametrize("case", params("image-env", fn="add_env"))
def test_variables_are_set_as_buildkit_sets_them(case: dict[str, Any]) -> None:
    assert list(with_variables(case["env"], [(case["key"], case["value"])])) == case["result"]


@pytest.mark.parametrize(
    ("env", "pairs", "expected"),
    [
        ((), [("A", "1"), ("B", "=")], ("A=1", "B==")),
        (("A=1", "B=2"), [("C", "3"), ("A", "")], ("A=", "B=2", "C=3")),
        (("A=1", "A=2"), [("A", "3"), ("A", "4")], ("A=4", "A=2")),
        (("PATH=/bin",), [("PAT", "x")], ("PATH=/bin", "PAT=x")),
    ],
)
def test_order_stays(env: tuple[str, ...], pairs: list[tuple[str, str]], expected: tuple[str, ...]) -> None:
    assert with_variables(env, pairs) == expected
