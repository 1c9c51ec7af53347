"""`image waste` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_image_commands import Minidock, minidock, root, tar_file

__all__ = ["minidock", "root"]  # fixtures
TOLD = """\
app:1: 306B stored, 6B of it visible
Wasted: 300B (98.0%): 300B in its own layers, 0B in those of its base image base:1

300B     Dockerfile:3  COPY a /data/
         overwrites /data/a of Dockerfile:2
         -> leave /data/a out of the COPY of Dockerfile:2 (`--exclude`), unless a step in between needs it

SIZE      LARGEST FILES   STORED BY      WASTED BY
300B      /data/a         Dockerfile:2   Dockerfile:3
"""


@pytest.fixture
def app(minidock: Minidock, tmp_path: Path) -> str:
    """Return an image of which 300 bytes are overwritten."""
    minidock("import", tar_file(tmp_path / "base.tar", b""), "base:1")
    for name, content in {"one/a": "x" * 300, "one/b": "b\n", "two/a": "a\nb\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "two/Dockerfile").write_text("FROM base:1\nCOPY --from=one . /data\nCOPY a /data/\n")
    words = ("build", "-q", "-t", "app:1", "--build-context", f"one={tmp_path}/one", f"{tmp_path}/two")
    assert minidock(*words).code == 0
    return "app:1"


def test_waste_is_told(minidock: Minidock, app: str) -> None:
    assert minidock("image", "waste", app) == (TOLD, "", 0)
    assert json.loads(minidock("image", "waste", "--format", "json", app).out)["wasted"] == 300


@pytest.mark.parametrize(("limit", "code"), [("299", 2), ("300", 0), ("98%", 2), ("98.1%", 0), ("0", 2), ("1m", 0)])
def test_too_much_waste_fails_with_one_line(minidock: Minidock, app: str, limit: str, code: int) -> None:
    told = minidock("image", "waste", "--fail-above", limit, app)
    assert (told.out, told.code) == (minidock("image", "waste", app).out, code)
    line = f"minidock: app:1 wastes 300B (98.0%) in its own layers, more than {limit}\n"
    assert told.err == (line if code else "")


def test_a_limit_that_makes_no_sense_is_refused(minidock: Minidock, app: str) -> None:
    told = minidock("image", "waste", "--fail-above", "many", app)
    assert (told.out, told.code) == ("", 125)
    assert told.err.startswith('invalid argument "many" for "--fail-above" flag: ')


def test_an_image_that_is_not_there_is_an_error(minidock: Minidock) -> None:
    error = "minidock: No such image: nosuch:latest\nhint: see `minidock image ls`\n"
    assert minidock("image", "waste", "nosuch") == ("", error, 1)
