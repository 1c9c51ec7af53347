"""save, load, import, export and commit as typed: what they say and how they end."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_image_commands import Said, tar_file

HINT = "hint: see `minidock image ls`\n"


def said(root: Path, *words: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE) -> Said:
    """Run a command line in a process of its own."""
    command = [sys.executable, "-m", "minidock", "--root", str(root), *words]
    done = subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, check=False, timeout=60)
    return Said((done.stdout or b"").decode("latin-1"), done.stderr.decode(), done.returncode)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    said(tmp_path / "store", "import", tar_file(tmp_path / "base.tar"), "base:1")
    return tmp_path / "store"


COWARDLY = "minidock: cowardly refusing to save to a terminal. Use the -o flag or redirect\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("save", "base:1"), COWARDLY),
        (("image", "save", "base:1"), COWARDLY),
        (("export", "box"), COWARDLY),
        (("container", "export", "box"), COWARDLY),
        (("load",), "minidock: requested load from stdin, but stdin is empty\n"),
    ],
)
def test_no_archive_goes_to_a_terminal_or_comes_from_one(root: Path, words: tuple[str, ...], expected: str) -> None:
    master, terminal = pty.openpty()
    try:
        assert said(root, *words, stdin=terminal, stdout=terminal)[1:] == (expected, 1)
    finally:
        os.close(master)
        os.close(terminal)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("save", "nothing"), f"No such image: nothing\n{HINT}"),
        (("save", "-o", "/nowhere/x", "base:1"),
         "failed to save image: invalid output path: stat /nowhere: no such file or directory\n"),
        (("save", "-o", "/tmp", "base:1"), "failed to save image: cannot write to a directory\n"),
        (("save", "--since", "nothing", "-o", "x.tar", "base:1"), f"No such image: nothing:latest\n{HINT}"),
        (("load", "-i", "/nowhere"), "open /nowhere: no such file or directory\n"),
        (("load",), "unexpected EOF: not an archive of images\n"),
        (("export", "nobody"), "No such container: nobody\n"),
        (("export", "-o", "/nowhere/x", "nobody"),
         "failed to export container: invalid output path: stat /nowhere: no such file or directory\n"),
        (("commit", "nobody"), "No such container: nobody\n"),
        (("commit", "nobody", "BAD"), "invalid reference format: repository name (library/BAD) must be lowercase\n"),
        (("import", "/nowhere"), "open /nowhere: no such file or directory\n"),
        (("import", "-", "BAD"), "invalid reference format: repository name (library/BAD) must be lowercase\n"),
        (("import", "-c", "RUN x", "-"), "run is not a valid change command\n"),
        (("import", "/etc/hostname"), "unexpected EOF: the tar stream ends in the middle of a member\n"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_dockers_words(root: Path, words: tuple[str, ...], problem: str) -> None:
    assert said(root, *words) == ("", f"minidock: {problem}", 1)


def test_images_go_through_a_pipe(root: Path, tmp_path: Path) -> None:
    imported = said(
        root, "import", "-c", 'CMD ["a"]', "-m", "why", "--platform", "linux/arm64", tar_file(tmp_path / "t"), "b:2"
    )
    assert imported.code == 0
    with open(tmp_path / "out.tar", "wb") as out:
        assert said(root, "save", "base:1", "b:2", stdout=out.fileno()).code == 0
    with open(tmp_path / "out.tar", "rb") as archive:
        loaded = said(tmp_path / "other", "load", stdin=archive.fileno())
    assert loaded == ("Loaded image: base:1\nLoaded image: b:2\n", "", 0)
    shown = said(
        tmp_path / "other", "image", "inspect", "-f", "{{.Architecture}} {{json .Config.Cmd}} {{.Comment}}", "b:2"
    )
    assert shown == ('arm64 ["a"] why\n', "", 0)
