"""`context ls` and `context why`: what is printed, and exit codes. Neither makes a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minidock.cli.app import main

IGNORED = """\
# what is made here
node_modules
!node_modules/keep
*.o

secret.*
"""
FILES = {
    ".dockerignore": IGNORED,
    "Dockerfile": "FROM scratch\n",
    "a.o": "object",
    "node_modules/x/y.js": "y",
    "node_modules/keep/z.js": "z" * 500,
    "src/main.c": "m" * 2000,
    "src/deep/er/b.c": "bb",
}


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIDOCK_ROOT", str(tmp_path / "store"))
    place = tmp_path / "context"
    for name, text in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def test_the_largest_parts_come_first(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["context", "ls", str(context)]) == 0
    assert capsys.readouterr().out == (
        "PATH            FILES     SIZE\n"
        "src/            2         2kB\n"
        "node_modules/   1         500B\n"
        ".dockerignore   1         66B\n"
        "Dockerfile      1         13B\n"
        "5 files, 2.58kB (after .dockerignore)\n"
    )
    assert not (context.parent / "store").exists()


def test_parts_are_told_further_down_and_cut_to_a_number(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["context", "ls", "--depth", "2", "-n", "3", str(context)]) == 0
    assert capsys.readouterr().out == (
        "PATH                 FILES     SIZE\n"
        "src/main.c           1         2kB\n"
        "node_modules/keep/   1         500B\n"
        ".dockerignore        1         66B\n"
        "and 2 more\n"
        "5 files, 2.58kB (after .dockerignore)\n"
    )


def test_a_document_has_every_part(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["context", "ls", "--format", "json", "-n", "1", str(context)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "context": str(context),
        "ignore_file": ".dockerignore",
        "files": 5,
        "bytes": 2581,
        "parts": [
            {"path": "src", "files": 2, "bytes": 2002, "directory": True},
            {"path": "node_modules", "files": 1, "bytes": 500, "directory": True},
            {"path": ".dockerignore", "files": 1, "bytes": 66, "directory": False},
            {"path": "Dockerfile", "files": 1, "bytes": 13, "directory": False},
        ],
    }
    assert main(["context", "ls", "--format", "{{range .parts}}{{.path}} {{end}}", str(context)]) == 0
    assert capsys.readouterr().out == "src node_modules .dockerignore Dockerfile \n"


def test_an_ignore_file_beside_the_dockerfile_counts_instead(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (context / "Dockerfile.dockerignore").write_text("*\n")
    assert main(["context", "ls", str(context)]) == 0
    assert capsys.readouterr().out == "0 files, 0B (after Dockerfile.dockerignore)\n"
    assert main(["context", "ls", "-f", str(context / "other"), "-n", "1", str(context)]) == 0
    assert capsys.readouterr().out.endswith("and 4 more\n6 files, 2.58kB (after .dockerignore)\n")


@pytest.mark.parametrize(
    ("name", "code", "verdict", "rules"),
    [
        (
            "node_modules/x/y.js",
            2,
            "left out of the context",
            [(".dockerignore:2", "node_modules", "leaves node_modules/, where it is, out (decides)")],
        ),
        (
            "node_modules/keep/z.js",
            0,
            "in the context",
            [
                (".dockerignore:2", "node_modules", "leaves node_modules/, where it is, out"),
                (".dockerignore:3", "!node_modules/keep", "lets node_modules/keep/, where it is, in (decides)"),
            ],
        ),
        (
            "node_modules",
            0,
            "in the context for the sake of what is let in below it, else left out",
            [(".dockerignore:2", "node_modules", "leaves it out (decides)")],
        ),
        ("a.o", 2, "left out of the context", [(".dockerignore:4", "*.o", "leaves it out (decides)")]),
        (
            "secret.key",
            2,
            "no such file in the context; it would be left out",
            [(".dockerignore:6", "secret.*", "leaves it out (decides)")],
        ),
        ("src/deep/../main.c", 0, "in the context: no line of .dockerignore matches", []),
        ("none", 2, "no such file in the context; it would be in it: no line of .dockerignore matches", []),
        (".", 0, "in the context: no line of .dockerignore matches", []),
    ],
)
def test_the_rule_to_blame_is_named(
    context: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    code: int,
    verdict: str,
    rules: list[tuple[str, str, str]],
) -> None:
    assert main(["context", "why", str(context), name]) == code
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.partition(": ")[2] == verdict
    assert [tuple(part.strip() for part in row.split("   ") if part) for row in rows[1:]] == rules
    assert main(["context", "why", str(context), str(context / name)]) == code


def test_a_path_may_be_typed_as_seen_from_here(
    context: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(context.parent)
    assert main(["context", "why", "context", "context/a.o"]) == 2
    assert capsys.readouterr().out.startswith("a.o: left out of the context\n")
    (context.parent / "elsewhere").write_text("")
    assert main(["context", "why", "context", "elsewhere"]) == 1
    assert "../elsewhere is outside of the context" in capsys.readouterr().err


def test_a_rule_is_told_in_a_document(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["context", "why", "--format", "json", str(context), "node_modules/keep/z.js"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": "node_modules/keep/z.js",
        "exists": True,
        "in_context": True,
        "ignored": False,
        "holds_included": False,
        "ignore_file": ".dockerignore",
        "matches": [
            {"line": 2, "pattern": "node_modules", "negated": False, "matched": "node_modules", "decides": False},
            {
                "line": 3,
                "pattern": "!node_modules/keep",
                "negated": True,
                "matched": "node_modules/keep",
                "decides": True,
            },
        ],
    }


def test_what_is_outside_or_behind_a_link_is_not_in_a_context(
    context: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["context", "why", str(context), "../x"]) == 1
    assert capsys.readouterr().err == f"minidock: ../x is outside of the context {context}\n"
    (context / "link").symlink_to("src")
    assert main(["context", "why", str(context), "link/main.c"]) == 2
    assert "no such file in the context" in capsys.readouterr().out
    (context / ".dockerignore").unlink()
    assert main(["context", "why", str(context), "link"]) == 0
    assert capsys.readouterr().out == "link: in the context: there is no ignore file\n"
    assert main(["context", "ls", str(context / "none")]) == 1
    assert "not found" in capsys.readouterr().err


def test_a_copy_of_what_is_left_out_names_the_line(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY a.o /\n")
    assert main(["build", "--progress=none", str(context)]) == 1
    assert "a.o is there, but .dockerignore:4 (*.o) leaves it out" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("ls", "missing"), ("why", "missing", "a")])
def test_a_context_that_is_not_there_is_no_failed_build(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["context", *words]) == 1
    assert capsys.readouterr() == ("", 'minidock: unable to prepare context: path "missing" not found\n')
