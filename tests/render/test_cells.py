"""Widths, cutting and the alignment of tables."""

from __future__ import annotations

import pytest

from minidock.render import cells


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "abcd…"),
        ("sleep 1000000000000000", 20, "sleep 1000000000000…"),
        ("12345678901234567890", 20, "12345678901234567890"),
        ("123456789012345678901", 20, "1234567890123456789…"),
        ("日本語テキスト", 8, "日本語…"),
        ("日本語テキスト", 7, "日本語…"),
        ("héllo wörld", 6, "héllo…"),
        ("x", 1, "x"),
        ("", 5, ""),
    ],
)
def test_text_is_cut_to_cells_not_to_characters(text: str, limit: int, expected: str) -> None:
    assert cells.cut(text, limit) == expected


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    assert [cells.width(text) for text in ("abc", "日本", "e\u0301", "…", "")] == [3, 4, 1, 1, 0]


def test_a_table_without_rows_is_its_headers() -> None:
    assert cells.table(["REPOSITORY", "TAG", "SIZE"], []) == "REPOSITORY   TAG       SIZE\n"


def test_the_last_column_is_not_padded_and_an_empty_last_cell_leaves_blanks() -> None:
    assert cells.table(["NAME", "COMMENT"], [["日本語テキスト", ""], ["x", "long comment"]]) == (
        "NAME             COMMENT\n"
        "日本語テキスト   \n"
        "x                long comment\n"
    )  # fmt: skip


def test_control_characters_become_blanks() -> None:
    assert cells.one_line("RUN a\n\tb\x1b[31mc…") == "RUN a  b [31mc…"
