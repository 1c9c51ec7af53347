"""`diff` as typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_image_commands import Said, tar_file


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Return the store of a container that was made and not started."""
    root = tmp_path / "store"
    assert said(root, "import", tar_file(tmp_path / "base.tar"), "base:1").code == 0
    assert said(root, "create", "--name", "box", "base:1", "/greeting").code == 0
    return root


def said(root: Path, *words: str) -> Said:
    """Run a command line in a process of its own."""
    command = [sys.executable, "-m", "minidock", "--root", str(root), *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    return Said(done.stdout, done.stderr, done.returncode)


@pytest.mark.parametrize("command", [("diff",), ("container", "diff")])
def test_a_container_that_did_nothing_has_no_changes(box: Path, command: tuple[str, ...]) -> None:
    for words in ((), ("-p",), ("--format", "json"), ("--format", "{{.Path}}")):
        assert said(box, *command, *words, "box") == Said("", "", 0)
    told = "CHANGE    SIZE      IN IMAGE   COPIED UP   PATH\n\nThe container holds 0B of content.\n"
    assert said(box, *command, "--size", "box") == Said(told, "", 0)


@pytest.mark.parametrize("words", [("-p", "-s"), ("--patch", "--format", "json")])
def test_a_patch_has_no_sizes(box: Path, words: tuple[str, ...]) -> None:
    error = "minidock: --patch cannot be combined with --size or --format\n"
    assert said(box, "diff", *words, "box") == Said("", error, 1)


@pytest.mark.parametrize("words", [(), ("-p",), ("-s",)])
def test_a_container_that_is_not_there_is_an_error(box: Path, words: tuple[str, ...]) -> None:
    told = said(box, "diff", *words, "nosuch")
    assert (told.out, told.code) == ("", 1)
    assert told.err.startswith("minidock: No such container: nosuch\n")
