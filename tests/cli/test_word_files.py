"""Files of ``--env-file`` and ``--label-file``, as docker reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.cli.word_files import env_words, label_words
from minidock.errors import InvalidRequest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "words"


def test_variables_keep_all_but_comments_and_the_blanks_before_them(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbfA=1\r\n# c\n\n  D=x y \n"Q"="q"\nC=\nHOME\nNOSUCH\n')
    words = ("A=1", "D=x y ", '"Q"="q"', "C=", "HOME=/here")
    assert env_words([str(file)], {"HOME": "/here", "A": "of the caller"}) == words


def test_a_label_without_a_value_sets_none(file: Path) -> None:
    file.write_text("a=1\n#x\nb\n c=d e\n")
    assert label_words([str(file)]) == ("a=1", "c=d e")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"=x\n", "no variable name on line '=x'"),
        (b"A B=1\n", "variable 'A B' contains whitespaces"),
        (b"ok=1\n\xff=1\n", "invalid utf8 bytes at line 2: [255, 61, 49]"),
    ],
)
def test_a_bad_line_is_named_in_dockers_words(file: Path, text: bytes, reason: str) -> None:
    file.write_bytes(text)
    for words in (lambda: env_words([str(file)], {}), lambda: label_words([str(file)])):
        with pytest.raises(InvalidRequest) as caught:
            words()
        assert str(caught.value) == f"invalid env file ({file}): {reason}"


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        env_words([str(file)], {})
    assert str(caught.value) == f"open {file}: no such file or directory"
