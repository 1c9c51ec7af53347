"""The values of --format and the spelling of JSON."""

from __future__ import annotations

import pytest

from minidock.errors import FlagError
from minidock.render.formats import Format, json_object, json_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", Format.TABLE), ("table", Format.TABLE), ("json", Format.JSON), (" {{json .}} ", Format.JSON)],
)
def test_a_format_is_a_table_or_json(text: str, expected: Format) -> None:
    assert Format.parse(text) is expected


def test_templates_are_refused_by_name() -> None:
    with pytest.raises(FlagError) as caught:
        Format.parse("table {{.ID}}")
    assert str(caught.value) == (
        '"table {{.ID}}" is a template, and templates are not supported yet: use table or json'
    )  # fmt: skip
    assert caught.value.exit_code == 125


def test_keys_are_sorted_and_angle_brackets_escaped() -> None:
    assert json_object({"b": "<a> & …", "a": None}) == '{"a":null,"b":"\\u003ca\\u003e \\u0026 …"}'


def test_bytes_that_are_not_utf8_do_not_break_the_json() -> None:
    assert json_text({"name": "a\udcff\u2028"}) == '{"name":"a\ufffd\\u2028"}'
