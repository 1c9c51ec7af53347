"""`minidock images` on an empty store; rows are render's and the engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.cli.app import main


@pytest.mark.parametrize("words", [["images"], ["image", "ls"], ["image", "list", "-a"], ["images", "nosuch"]])
def test_an_empty_store_shows_headers_and_is_not_created(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "store"
    assert main(["--root", str(root), *words]) == 0
    assert capsys.readouterr() == ("REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n", "")
    assert not root.exists()


def test_quiet_and_json_of_nothing_are_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("-q", "--format=json"):
        assert main(["--root", str(tmp_path / "store"), "images", option]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("filter_", "text"),
    [
        ("nope=1", "minidock: Invalid filter 'nope'\n"),
        ("dangling=maybe", "minidock: Invalid filter 'dangling=[maybe]'\n"),
        ("before=nosuch:1", "minidock: No such image: nosuch:1\nhint: see `minidock image ls`\n"),
    ],
)
def test_filters_are_refused_in_dockers_words(
    filter_: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path / "store"), "images", "-f", filter_]) == 1
    assert capsys.readouterr() == ("", text)
