"""The values of --format and the spelling of JSON."""

from __future__ import annotations

import pytest

from minidock.errors import TemplateError
from minidock.render.formats import Format, json_object, json_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", Format.TABLE), ("table", Format.TABLE), ("json", Format.JSON), (" {{json .}} ", Format.JSON)],
)
def test_a_format_is_a_table_or_json(text: str, expected: Format) -> None:
    assert Format.parse(text) is expected


ROWS = [{"ID": "aa", "CreatedBy": "RUN x"}, {"ID": "bbbbbbbbbbbb", "CreatedBy": "COPY"}]


def test_a_template_gives_a_line_for_each_row() -> None:
    assert Format.parse(r"{{.ID}}:\t{{.CreatedBy}}").rows(ROWS, {}) == "aa:\tRUN x\nbbbbbbbbbbbb:\tCOPY\n"
    assert Format.parse("{{.ID}}").rows([], {}) == ""


def test_a_template_of_a_table_has_headers_and_columns() -> None:
    shape = Format.parse(r"table {{.ID}}\t{{lower .CreatedBy}}")
    assert shape.rows(ROWS, {"ID": "IMAGE"}) == (
        "IMAGE          CREATED BY\naa             run x\nbbbbbbbbbbbb   copy\n"
    )


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{.Nope}}", 'template: :1:2: executing "" at <.Nope>: can\'t evaluate field Nope'),
        ("{{.ID", "template: :1: unclosed action"),
        ("{{foo .ID}}", 'template: :1: function "foo" not defined'),
    ],
)
def test_what_is_wrong_with_a_template_is_said_in_gos_words(template: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Format.parse(template).rows(ROWS, {})
    assert (str(caught.value), caught.value.exit_code) == (f"template parsing error: {problem}", 1)


def test_keys_are_sorted_and_angle_brackets_escaped() -> None:
    assert json_object({"b": "<a> & …", "a": None}) == '{"a":null,"b":"\\u003ca\\u003e \\u0026 …"}'


def test_bytes_that_are_not_utf8_do_not_break_the_json() -> None:
    assert json_text({"name": "a\udcff\u2028"}) == '{"name":"a\ufffd\\u2028"}'


def test_labels_are_asked_for_by_name() -> None:
    rows = [{"Name": "a"}, {"Name": "b"}]
    labels: list[dict[str, str]] = [{"org.made-by": "me,you"}, {}]
    shape = Format.parse('{{.Name}}={{.Label "org.made-by"}};{{$.Label `x` | upper}}')
    assert shape.rows(rows, {}, labels) == "a=me,you;\nb=;\n"
    table = Format.parse('table {{.Name}}\\t{{.Label "org.made-by"}}')
    assert table.rows(rows, {"Name": "NAME"}, labels) == "NAME      made by\na         me,you\nb         \n"
    assert Format.parse("{{.Name}} {{json .}}").rows(rows[:1], {}, labels[:1]) == 'a {"Name":"a"}\n'


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ('{{.Name "x"}}', "Name has arguments but cannot be invoked as function"),
        ('{{"x" | .Name}}', "Name has arguments but cannot be invoked as function"),
        ("{{.Label}}", "wrong number of args for Label: want 1 got 0"),
        ('{{.Label "a" "b"}}', "wrong number of args for Label: want 1 got 2"),
        ('{{.Nope "x"}}', "can't evaluate field Nope"),
        ('{{"a" "b"}}', "can't give argument to non-function"),
    ],
)
def test_what_is_no_method_takes_no_arguments(template: str, problem: str) -> None:
    with pytest.raises(TemplateError, match=problem):
        Format.parse(template).rows([{"Name": "a"}], {}, [{}])
