from __future__ import annotations

from typing import Any

import pytest

from minidock.core.dockerfile import patterns, words
from minidock.errors import ExpansionError
from tests.vectors import params

ENV = {"a": "1", "empty": "", "path": "/usr/local/bin", "two": "x  y", "star": "*"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$a", "1"),
        ("${a}b", "1b"),
        ("$ab", ""),
        ("$a.b", "1.b"),
        ("a$", "a$"),
        ("$.x", "$.x"),
        ("'$a \\'", "$a \\"),
        ('"$a \\$a \\" \\n"', '1 $a " \\n'),
        ("\\$a", "$a"),
        ("x\\", "x"),
        ("${empty:-d}", "d"),
        ("${empty-d}", ""),
        ("${none-d}", "d"),
        ("${a:+yes}${empty:+no}${empty+set}", "yesset"),
        ("${none:-${a:-x}}", "1"),
        ("${a:?message}", "1"),
        ("${path#*/}", "usr/local/bin"),
        ("${path##*/}", "bin"),
        ("${path%/*}", "/usr/local"),
        ("${path%%/*}", ""),
        ("${path/local/x}", "/usr/x/bin"),
        ("${path//\\//-}", "-usr-local-bin"),
        ("${path//*/r}", "r"),
        ("${none//x/y}", ""),
        ("$two", "x  y"),
        ("<<  x", "<<  x"),
    ],
)
def test_expand(text: str, result: str) -> None:
    assert words.expand(text, ENV) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [("`$a\\", "$a\\"), ("a`", "a"), ('"`$a \\$a `"', '$a \\1 "'), ("C:\\$a", "C:\\1")],
)
def test_expand_with_a_backtick_as_the_escape_character(text: str, result: str) -> None:
    if text.startswith('"'):
        text += '"'
    assert words.expand(text, ENV, "`") == result


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'x", "unexpected end of statement while looking for matching single-quote"),
        ('"x', "unexpected end of statement while looking for matching double-quote"),
        ("${a", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${a:-x", "syntax error: missing '}'"),
        ("${a/x}", "syntax error: missing '/' in ${}"),
        ("${a/x/y", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${:x}", "syntax error: bad substitution"),
        ("${a=x}", "unsupported modifier (=) in substitution"),
        ("${a:=x}", "unsupported modifier (:=) in substitution"),
        ("${a:#x}", "unsupported modifier (:#) in substitution"),
        ("${none:?}", "none: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${none?give $a}", "none: give 1"),
        ("${a#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"),
    ],
)
def test_a_broken_word_says_what_is_wrong_with_it(text: str, reason: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        words.expand(text, ENV)
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert str(caught.value) == f'failed to process "{quoted}": {reason}'
    assert caught.value.word == text


def test_variables_nested_too_deeply_are_an_error() -> None:
    with pytest.raises(ExpansionError) as caught:
        words.expand("${none:-" * 20_000 + "}" * 20_000, ENV)
    assert str(caught.value) == "failed to process a word: its variables are nested too deeply"


def test_words_are_split_after_expansion_unless_quoted() -> None:
    assert words.expand_words('$two "$two" a\\ b "" x', ENV) == ["x", "y", "x  y", "a b", "x"]


def test_the_body_of_a_heredoc_keeps_its_quotes() -> None:
    assert words.expand_body("'$a' \"$a\" \\$a \\\\ <<x\n", ENV) == "'1' \"1\" $a \\ <<x\n"


def test_variables_are_reported_as_matched_and_unmatched() -> None:
    found = words.expansion("$a ${none:-$two}", ENV)
    assert (found.text, found.matched, found.unmatched) == ("1 x  y", {"a", "two"}, {"none"})


def test_raw_words_keep_everything_as_written() -> None:
    assert words.raw_words("cat <<  'E O' \\$x $y \"a b\"") == ("cat", "<<  'E O'", "\\$x", "$y", '"a b"')
    assert words.raw_words("echo 'open") == ()


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a=1  b='x y'\tc=\"p q\"", ["a=1", "b='x y'", 'c="p q"']),
        ("a=x\\ y b", ["a=x\\ y", "b"]),
        ("a=b\\", ["a=b"]),
        ("'it\\' x", ["'it\\'", "x"]),
        ('"a\\" b" c', ['"a\\" b"', "c"]),
        ("", []),
    ],
)
def test_split_words_keeps_quotes_and_escapes(text: str, result: list[str]) -> None:
    assert words.split_words(text) == result


@pytest.mark.parametrize("case", params("words", kind="process_words"))
def test_vectors_of_words(case: dict[str, Any]) -> None:
    env = dict(variable.split("=", 1) for variable in case["env"])
    if case.get("error_any"):
        with pytest.raises(ExpansionError):
            words.expand_words(case["input"], env)
    else:
        assert words.expand_words(case["input"], env) == case["words"]


@pytest.mark.parametrize("case", params("words", kind="split_keep_quotes"))
def test_vectors_of_split_words(case: dict[str, Any]) -> None:
    assert words.split_words(case["input"]) == case["words"]


@pytest.mark.parametrize("case", params("env-expansion"))
def test_vectors_of_expansion(case: dict[str, Any]) -> None:
    if case.get("kind") == "pattern_to_regex":
        return check_pattern(case)
    if case.get("error_any") or "error_contains" in case:
        with pytest.raises(ExpansionError) as caught:
            words.expand(case["input"], case["env"])
        assert case.get("error_contains", "") in str(caught.value)
        return None
    found = words.expansion(case["input"], case["env"])
    assert found.text == case["result"]
    for field in ("matched", "unmatched"):
        if field in case:
            assert sorted(getattr(found, field)) == case[field]
    return None


def check_pattern(case: dict[str, Any]) -> None:
    flags = {"is_greedy": case.get("greedy", False), "is_anchored": case.get("anchored", False)}
    if case.get("error_any"):
        with pytest.raises(patterns.BadPattern):
            patterns.pattern_to_regex(case["input"], **flags)
    else:
        assert patterns.pattern_to_regex(case["input"], **flags) == case["result"]


@pytest.mark.parametrize(
    ("text", "is_command", "expected"),
    [
        ('run echo "$A" $B', True, 'RUN echo "1" $B'),
        ('COPY $A $B "x y" /$A/', False, "COPY 1  x y /1/"),
        ("ADD ${A:-2}${B:-2} .", False, "ADD 12 ."),
        ("RUN echo 'it", True, "RUN echo 'it"),
        ("workdir", False, "WORKDIR"),
    ],
)
def test_the_name_of_a_step_shows_values(text: str, is_command: bool, expected: str) -> None:
    assert words.shown(text, {"A": "1"}, is_command=is_command) == expected
