from __future__ import annotations

from typing import Any

import pytest

from minidock.core.dockerfile import arguments, heredocs
from minidock.core.dockerfile.directives import Directive, find_check, find_syntax
from minidock.core.dockerfile.heredocs import Heredoc
from minidock.core.dockerfile.parser import Node, Warning, parse
from minidock.errors import DockerfileError, ExpansionError
from tests.vectors import params


def test_a_file_becomes_nodes_with_their_lines() -> None:
    text = "# syntax=docker/dockerfile:1\n\n# the base\nfrom\tscratch AS x\nRUN --network=none a && \\\n  # no\n  b\n"
    dockerfile = parse(text.encode(), "D")
    assert dockerfile.nodes == (
        Node("from", "from", (), ("scratch", "AS", "x"), "from\tscratch AS x", 4, 4, comments=("the base",)),
        Node("run", "RUN", ("--network=none",), ("a &&   b",), "RUN --network=none a &&   b", 5, 7),
    )
    assert dockerfile.directives == (Directive("syntax", "docker/dockerfile:1", 1),)
    assert (dockerfile.escape, dockerfile.warnings) == ("\\", ())
    assert (dockerfile.source, dockerfile.filename) == (text, "D")


def test_byte_order_mark_and_crlf_are_taken_away() -> None:
    dockerfile = parse(b"\xef\xbb\xbf# escape=`\r\nFROM a`\r\nb\r\nENV x=1\r\n")
    assert [(node.keyword, node.args, node.first, node.last) for node in dockerfile.nodes] == [
        ("from", ("ab",), 2, 3),
        ("env", ("x", "1", "="), 4, 4),
    ]
    assert dockerfile.escape == "`"


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ('CMD ["a", "b"]', ("a", "b")),
        ("CMD ['a']", ("['a']",)),
        ('CMD ["a"] x', ('["a"] x',)),
        ("CMD []", ()),
        ('CMD ["\\ud800"]', ("\ufffd",)),
        ("COPY a  b\tc", ("a", "b", "c")),
        ('COPY ["a b", "c"]', ("a b", "c")),
        ("ENV a b  c", ("a", "b  c", "")),
        ('ENV a=\'b c\' d="e\\" f"', ("a", "'b c'", "=", "d", '"e\\" f"', "=")),
        ("ARG a b='c d'", ("a", "b='c d'")),
        ("USER  a b ", ("a b",)),
        ('HEALTHCHECK CMD  ["x"]', ("CMD", "x")),
        ("HEALTHCHECK --retries=3 CMD  curl  x", ("CMD", "curl  x")),
        ("HEALTHCHECK NONE", ("NONE",)),
        ('ONBUILD  RUN  ["x", "y"]', ("run", "x", "y")),
        ("NOSUCH a b", ()),
        ("RUN echo foo \\\\", ("echo foo \\\\",)),
        ("RUN \\\n# c\n\n  x", ("x",)),
    ],
)
def test_arguments(text: str, args: tuple[str, ...]) -> None:
    assert parse(text.encode()).nodes[0].args == args


def test_flags_lose_their_quotes_and_end_at_a_double_dash() -> None:
    node = parse(b"COPY --from='a b' --chown=x\\ y -- --link b").nodes[0]
    assert (node.flags, node.args) == (("--from=a b", "--chown=x y"), ("--link", "b"))


def test_an_empty_continuation_line_is_a_warning() -> None:
    warnings = parse(b"FROM a\nRUN x \\\n\n  y\n").warnings
    assert warnings == (Warning("NoEmptyContinuation", "Empty continuation line found in: RUN x   y", 2, 4),)


def test_bytes_that_are_not_utf_8_are_replaced_with_a_warning() -> None:
    dockerfile = parse(b"FROM a\nLABEL x=\xe9\n")
    assert dockerfile.nodes[1].args == ("x", "\ufffd", "=")
    assert [warning.rule for warning in dockerfile.warnings] == ["InvalidEncoding"]
    assert parse("FROM a\nLABEL x=\ufffd\n".encode()).warnings == ()


def test_heredocs_follow_the_line_in_order() -> None:
    node = parse(b"FROM x\nCOPY <<A <<-'B' /d/\n# $a \\\n\tA\nA\n\t$b\n\tB\nRUN c\n").nodes[1]
    assert node.heredocs == (
        Heredoc("A", "# $a \\\n\tA\n"),
        Heredoc("B", "\t$b\n", is_expanded=False, strips_tabs=True),
    )
    assert (node.first, node.last) == (2, 7)
    assert [heredoc.text for heredoc in node.heredocs] == ["# $a \\\n\tA\n", "$b\n"]


def test_what_a_shell_gets_of_a_heredoc() -> None:
    single = parse(b"RUN <<-E\n\tx\nE\n").nodes[0]
    assert heredocs.shell_argument(single.args[0], single.heredocs) == "x\n"
    assert heredocs.script_of(single.args[0], single.heredocs) is None
    script = parse(b"RUN <<E\n#!/bin/x\ny\nE\n").nodes[0]
    assert heredocs.script_of(script.args[0], script.heredocs) == Heredoc("E", "#!/bin/x\ny\n")
    piped = parse(b"RUN cat <<A - <<-B > f\n#!x\nA\n\t2\nB\n").nodes[0]
    assert heredocs.script_of(piped.args[0], piped.heredocs) is None
    assert heredocs.shell_argument(piped.args[0], piped.heredocs) == "cat <<A - <<-B > f\n#!x\nA\n\t2\nB"


def test_an_onbuild_of_a_run_can_hold_a_heredoc() -> None:
    node = parse(b"ONBUILD RUN <<E\nx\nE\n").nodes[0]
    assert node.heredocs == (Heredoc("E", "x\n"),)
    assert node.child == Node("run", "RUN", (), ("<<E",), "RUN <<E", 1, 1)


@pytest.mark.parametrize(
    ("text", "message", "first", "last"),
    [
        ("", "the Dockerfile cannot be empty", 0, 0),
        ("# x\n\n", "file with no instructions", 2, 2),
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\", 1, 1),
        ("# escape=`\n# Escape=`\nFROM a", "only one escape parser directive can be used", 2, 2),
        ("FROM a\nENV a", "ENV must have two arguments", 2, 2),
        (
            "FROM a\nLABEL a=b \\\n c d=e",
            'Syntax error - can\'t find = in "c". Must be of the form: name=value',
            2,
            3,
        ),
        ("CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only", 1, 1),
        ("RUN <<A\nx\n", "unterminated heredoc", 1, 2),
        ("FROM a\n" + "ONBUILD " * 8000, "ONBUILD is nested too deeply", 2, 2),
        ("FROM a\n# " + "x" * 65534, "dockerfile line greater than max allowed size of 65535", 2, 2),
    ],
)
def test_a_broken_file_names_the_lines(text: str, message: str, first: int, last: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text.encode(), "Some.Dockerfile")
    error = caught.value
    assert (str(error), error.first, error.last, error.filename) == (message, first, last, "Some.Dockerfile")
    assert error.source == text


def test_a_line_of_the_greatest_length_is_read() -> None:
    assert len(parse(b"FROM " + b"x" * 65530).nodes[0].args[0]) == 65530


def flat(node: Node) -> dict[str, Any]:
    args: list[Any] = [flat(node.child)] if node.child else list(node.args)
    return {"instr": node.keyword, "flags": list(node.flags), "args": args}


@pytest.mark.parametrize("case", params("dockerfile-parse"))
def test_vectors_of_parsing(case: dict[str, Any]) -> None:
    dockerfile = parse(case["dockerfile"].encode())
    if "ast" in case:
        assert [flat(node) for node in dockerfile.nodes] == case["ast"]
    if "lines" in case:
        lines = [[node.first, node.last] for node in dockerfile.nodes]
        assert lines == case["lines"]["instructions"]
        assert (lines[0][0], lines[-1][1]) == (case["lines"]["first"], case["lines"]["last"])
    if "warnings" in case:
        assert len(dockerfile.warnings) == len(case["warnings"])


@pytest.mark.parametrize("case", params("directives"))
def test_vectors_of_directives(case: dict[str, Any]) -> None:
    text = case["dockerfile"]
    if "directives" in case:
        found = parse(text.encode() + b"\nFROM x\n").directives
        assert [{"name": directive.name, "value": directive.value} for directive in found] == case["directives"]
    for field, find in (("syntax", find_syntax), ("check", find_check)):
        if field not in case:
            continue
        directive, wanted = find(text), case[field]
        if wanted is None:
            assert directive is None
            continue
        assert directive is not None
        actual = {"ref": directive.word, "cmdline": directive.value, "line": directive.line}
        assert {key: actual[key] for key in wanted} == wanted


@pytest.mark.parametrize("case", params("json-args"))
def test_vectors_of_json_arguments(case: dict[str, Any]) -> None:
    if "instruction" in case:
        assert parse(case["instruction"].encode()).nodes[0].is_json == (case["form"] != "shell")
    elif "error" in case:
        with pytest.raises(arguments.ArgumentError) as caught:
            arguments.json_array(case["input"])
        assert str(caught.value) == case["error"]
    else:
        assert arguments.json_array(case["input"]) == tuple(case["value"])


@pytest.mark.parametrize("case", params("heredoc", kind=("instruction", "file")))
def test_vectors_of_heredocs(case: dict[str, Any]) -> None:
    found = [heredoc for node in parse(case["dockerfile"].encode()).nodes for heredoc in node.heredocs]
    actual = [
        {"name": h.name, "fd": h.fd, "expand": h.is_expanded, "chomp": h.strips_tabs, "content": h.content}
        for h in found
    ]
    assert actual == case["heredocs"]


@pytest.mark.parametrize("case", params("heredoc", kind="word"))
def test_vectors_of_heredoc_words(case: dict[str, Any]) -> None:
    if case.get("error_any"):
        with pytest.raises(ExpansionError):
            heredocs.match_heredoc(case["word"])
        return
    heredoc = heredocs.match_heredoc(case["word"])
    assert (heredoc.name if heredoc else None) == case["heredoc_name"]


@pytest.mark.parametrize("case", params("heredoc", kind="line"))
def test_vectors_of_heredoc_lines(case: dict[str, Any]) -> None:
    assert [heredoc.name for heredoc in heredocs.heredocs_of_line(case["line"])] == case["heredoc_names"]


@pytest.mark.parametrize("case", params("heredoc", kind="chomp"))
def test_vectors_of_leading_tabs(case: dict[str, Any]) -> None:
    assert heredocs.without_leading_tabs(case["content"]) == case["result"]
