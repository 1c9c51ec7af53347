from __future__ import annotations

import time
from typing import Any

import pytest

from minidock.core.dockerfile.ignore import IgnoreRules, read_patterns
from minidock.errors import PatternError
from tests.vectors import params


@pytest.mark.parametrize(
    ("text", "path", "is_ignored"),
    [
        ("node_modules", "node_modules/a/b", True),
        ("node_modules", "x/node_modules", False),
        ("**/node_modules", "x/node_modules/y", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README.md", "NOTES.md", True),
        ("!README.md\n*.md", "README.md", True),
        ("*\n!src", "src/a/b.c", False),
        ("*\n!src\nsrc/*.o", "src/x.o", True),
        # An exception counts where something is ignored when it is asked, not for what a later look finds below.
        ("src/*\n!src", "src/a", True),
        ("src/a\n!src", "src/a", True),
        ("src\n!src/a\nsrc", "src/a", False),
        ("*\n!src\nsrc/a\n!src", "src/a", True),
        ("x\\/y", "x/y", True),
        ("\\/x", "x", False),
        ("/abs", "abs", True),
        ("a/../b", "b", True),
        ("# no\n #yes", "#yes", True),
        (".", "a", False),
        ("/", "a", False),
        ("**", "a", True),
        ("**", ".", False),
        ("dir/**", "dir", False),
        ("dir/**", "dir/a", True),
        ("**file", "d/my.file", True),
        ("**file*", "d/my.file", False),
        ("a[/]b", "a/b", True),
    ],
)
def test_is_ignored(text: str, path: str, is_ignored: bool) -> None:
    assert IgnoreRules.parse(text).is_ignored(path) is is_ignored


def test_the_deciding_pattern_is_the_last_that_matches() -> None:
    rules = IgnoreRules.parse("*\n!/src\nsrc/*.o\n")
    found = [rules.rule_for(path) for path in ("a", "src", "src/a.o", ".")]
    assert [rule and (rule.line, rule.text) for rule in found] == [(1, "*"), (2, "!src"), (3, "src/*.o"), None]


def test_every_rule_that_matches_is_told_with_its_line_and_what_of_the_path_it_matches() -> None:
    rules = IgnoreRules.parse("\ufeff# all\n\n  lib  \n!lib/keep\r\nlib/**/*.o\nother\n", ".dockerignore")
    told = [(rules.place_of(rule), rule.text, matched) for rule, matched in rules.matches("lib/keep/sub/x.o")]
    assert told == [
        (".dockerignore:3", "lib", "lib"),
        (".dockerignore:4", "!lib/keep", "lib/keep"),
        (".dockerignore:5", "lib/**/*.o", "lib/keep/sub/x.o"),
    ]
    assert rules.matches(".") == ()
    assert [match.rule.line for match in rules.matches("lib")] == [3]


@pytest.mark.parametrize(
    ("text", "directory", "expected"),
    [
        ("*", "a", False),
        ("*\n!a/b", "a", True),
        ("*\n!a/b", "a/b", True),
        ("*\n!a/b", "a/c", False),
        ("*\n!a/b", "c", False),
        ("*\n!*/b", "c", True),
        ("*\n!x*/b", "c", False),
        ("*\n!**/b", "c/d", True),
        ("!a/b\n*", "a", False),
        ("a\n!a", "a/b", True),
        ("a\n!b[/]c", "a", True),
        ("x", "a", True),
    ],
)
def test_a_walker_enters_only_directories_that_may_hold_something(text: str, directory: str, expected: bool) -> None:
    assert IgnoreRules.parse(text).may_hold_included(directory) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!", 'illegal exclusion pattern: "!"'),
        ("a[", "syntax error in pattern"),
        ("[b-a]", "syntax error in pattern"),
        ("[^xb-a]", "syntax error in pattern"),
    ],
)
def test_a_malformed_pattern_is_an_error(text: str, message: str) -> None:
    with pytest.raises(PatternError) as caught:
        IgnoreRules.parse(text)
    assert str(caught.value) == message


def test_ten_thousand_paths_take_little_time() -> None:
    rules = IgnoreRules.parse("\n".join(["**/*.pyc", "node_modules", "**/a*b*c", "!keep", "docs/**/*.md"] * 4))
    paths = [f"src/pkg{index % 100}/sub/file{index}.py" for index in range(10_000)]
    started = time.process_time()
    assert not any(rules.is_ignored(path) for path in paths)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("case", params("dockerignore-read"))
def test_vectors_of_reading(case: dict[str, Any]) -> None:
    assert read_patterns(case["content"] or "") == case["patterns"]


@pytest.mark.parametrize("case", params("dockerignore-match", fn=("matches_or_parent_matches", "matches")))
def test_vectors_of_matching(case: dict[str, Any]) -> None:
    if "error" in case or case.get("error_any"):
        with pytest.raises(PatternError) as caught:
            IgnoreRules.from_patterns(case["patterns"])
        assert case.get("error", "") in str(caught.value)
    else:
        assert IgnoreRules.from_patterns(case["patterns"]).is_ignored(case["path"]) is case["match"]


# The cases with fn=compile show upstream's own regular expressions and are not for others.
@pytest.mark.parametrize("case", params("dockerignore-match", fn="new"))
def test_vectors_of_compiling(case: dict[str, Any]) -> None:
    if "error" in case or case.get("error_any"):
        with pytest.raises(PatternError):
            IgnoreRules.from_patterns(case["patterns"])
        return
    rules = IgnoreRules.from_patterns(case["patterns"]).rules
    assert (len(rules), any(rule.is_exception for rule in rules)) == (case["count"], case["has_exceptions"])
