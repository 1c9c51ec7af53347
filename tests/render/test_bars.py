"""Bars: as long as their sizes, parts in order, and nothing that is there vanishes."""

from __future__ import annotations

import pytest

from minidock.render.bars import bar


@pytest.mark.parametrize(
    ("parts", "most", "expected"),
    [
        ([(100, "#")], 100, "##########"),
        ([(50, "#"), (50, "-")], 100, "#####-----"),
        ([(33, "a"), (33, "b"), (34, "c")], 100, "aaabbbbccc"),
        ([(26, "#"), (0, "-")], 100, "###"),
        ([(0, "#"), (100, "-")], 100, "----------"),
        ([(1, "#")], 100, "▏"),
        ([(1, "#")], 10**9, "▏"),
        ([(4, "#")], 100, "▍"),
        ([(0, "#")], 100, ""),
        ([(0, "#")], 0, ""),
        ([], 100, ""),
    ],
)
def test_bars(parts: list[tuple[int, str]], most: int, expected: str) -> None:
    assert bar(parts, most, 10) == expected
