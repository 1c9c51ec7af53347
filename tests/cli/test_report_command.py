"""`minidock report` as typed: where the page goes, what is printed, what goes wrong."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from minidock.cli.app import main
from minidock.engine.workspace import Workspace
from tests.engine.building import import_base, run_build, workspace, write_context
from tests.render.reading import read


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    made = workspace(tmp_path / "store")
    import_base(made)
    return made


class Said:
    """What a command printed, and its exit code."""

    def __init__(self, ws: Workspace, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self.code = main(["--root", ws.store.layout.root, *words])
        self.out, self.err = capsys.readouterr()


def test_the_page_goes_to_a_file_whose_name_is_printed(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = Said(ws, capsys, "report")
    assert (said.code, said.out, said.err) == (0, "minidock-report.html\n", "")
    html = (tmp_path / "minidock-report.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "base:1" in html


def test_one_image_into_a_file_of_a_name(ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.html"
    path.write_text("old")
    said = Said(ws, capsys, "report", "base:1", "-o", str(path))
    assert (said.code, said.out) == (0, f"{path}\n")
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert sorted(os.listdir(tmp_path)) == ["out.html", "store"]


def test_a_dash_is_stdout(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(ws, capsys, "report", "-o", "-")
    assert said.out.startswith("<!doctype html>")
    assert said.out.endswith("</html>\n")


def test_json_and_templates_are_printed_and_make_no_file(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document = json.loads(Said(ws, capsys, "report", "--format", "json").out)
    assert [image["names"] for image in document["images"]] == [["base:1"]]
    said = Said(ws, capsys, "report", "--format", "{{range .layers}}{{.size}} {{.instruction}}{{end}}")
    assert said.out == f"{document['layers'][0]['size']} base\n"
    assert os.listdir(tmp_path) == ["store"]


def test_what_cannot_be_written_is_one_line_and_leaves_the_old_page(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Said(ws, capsys, "report", "-o", f"{tmp_path}/none/report.html")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"minidock: failed to write the report: invalid output path: stat {tmp_path}/none: no such file or directory\n"
    )
    assert Said(ws, capsys, "report", "-o", str(tmp_path)).err.startswith(
        "minidock: failed to write the report: cannot write to"
    )
    old = tmp_path / "old.html"
    old.write_text("old")
    said = Said(ws, capsys, "report", "nothing:1", "-o", str(old))
    assert (said.code, re.sub("\n.*", "", said.err)) == (1, "minidock: No such image: nothing:1")
    assert old.read_text() == "old"


def test_a_directory_that_takes_no_file_is_named(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(ws, capsys, "report", "-o", "/proc/self/report.html")
    assert said.code == 1
    assert re.fullmatch(r"minidock: open /proc/[0-9]+/report.html: no such file or directory\n", said.err)


def test_a_full_device_is_told_of(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(ws, capsys, "report", "-o", "/dev/full")
    assert (said.code, said.err) == (1, "minidock: write /dev/full: no space left on device\n")


def test_words_of_a_real_image_stay_text(ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tag = "<img src=x onerror=alert(1)>"
    dockerfile = f"FROM base:1\nLABEL a='</script>{tag}'\nENV B='<!--{tag}'\nCOPY . /srv/\nCMD [\"</style>{tag}\"]\n"
    place = tmp_path / "context"
    run_build(ws, write_context(place, {"Dockerfile": dockerfile, f"{tag}'\"&": "x" * 500}), tags=("evil:1",))
    write_context(place, {f"{tag}'\"&": "y" * 600})
    run_build(ws, place, tags=("evil:1",))
    found = read(Said(ws, capsys, "report", "-o", "-").out)
    assert "img" not in found.elements
    assert len(found.raw["script"]) == 2
    assert json.loads(found.raw["script"][0])["layers"]
    for part in (
        f"LABEL a=</script>{tag}",
        f"ENV B=<!--{tag}",
        f'CMD ["</style>{tag}"]',
        f"1 of 2 files changed: {tag}'\"& (content)",
        f"/srv/{tag}'\"&",
    ):
        assert part in found.text, part


def test_a_report_changes_nothing_in_the_store(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def state() -> list[tuple[str, int, int]]:
        return sorted(
            (str(path), (status := path.lstat()).st_size, status.st_mtime_ns)
            for path in (tmp_path / "store").rglob("*")
        )

    before = state()
    Said(ws, capsys, "report", "-o", "-")
    assert state() == before
