"""Where the steps of an image stand in its Dockerfile: after every build, and for as long as the image is there."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from minidock.engine import images
from minidock.engine.collect import remove_image
from minidock.engine.commit import CommitRequest, commit
from minidock.engine.image_layers import last_fates, steps_of
from minidock.engine.load import load
from minidock.engine.prune import prune_cache
from minidock.engine.run import create
from minidock.engine.run_request import RunRequest
from minidock.engine.save import save
from minidock.engine.sinks import TarSink
from minidock.engine.workspace import Workspace
from tests.engine.building import run_build, workspace
from tests.engine.test_build_cache import Lab

LINES = [None, "Dockerfile:2", "Dockerfile:3", "Dockerfile:4"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def lines(ws: Workspace, name: str) -> list[str | None]:
    """Return the lines of every step of an image, oldest first."""
    return [step.lines and str(step.lines) for step in steps_of(ws, images.find(ws, name))]


def test_lines_are_those_of_the_last_build(lab: Lab) -> None:
    first = lab.build(tags=("app",))
    assert lines(lab.ws, "app") == LINES
    lab.dockerfile("# one more\nFROM base:1\nCOPY app /app/\n\nRUN \\\n  make\nCMD app\n")
    again = lab.build(tags=("other",))
    moved = [None, "Dockerfile:3", "Dockerfile:5-6", "Dockerfile:7"]
    assert again.image_id == first.image_id
    assert lines(lab.ws, "other") == lines(lab.ws, "app") == lines(lab.ws, first.image_id.hex[:12]) == moved


def test_an_unchanged_build_leaves_the_list_of_images_alone(lab: Lab) -> None:
    lab.build(tags=("app",))
    index = Path(lab.ws.store.layout.index)
    before = index.stat().st_mtime_ns
    lab.build(tags=("app",))
    assert index.stat().st_mtime_ns == before


def test_lines_stay_while_the_image_does(lab: Lab) -> None:
    first = lab.build(tags=("app",)).image_id
    lab.dockerfile("FROM base:1\nCOPY app /app/\nRUN other\n")
    lab.build(tags=("app",))  # takes the name away
    images.tag(lab.ws, first.hex, "kept")
    prune_cache(lab.ws, is_all=True)
    assert lines(lab.ws, "kept") == LINES
    images.tag(lab.ws, "kept", "more")
    remove_image(lab.ws, "kept", is_forced=False)
    assert lines(lab.ws, "more") == LINES
    assert lines(lab.ws, "app") == LINES[:3]


def test_steps_of_a_base_that_was_built_here_keep_its_lines(lab: Lab) -> None:
    lab.build(tags=("parent",))
    lab.dockerfile("# child\nFROM parent\nRUN other\n")
    lab.build(tags=("child",))
    prune_cache(lab.ws, is_all=True)
    remove_image(lab.ws, "parent", is_forced=False)
    assert lines(lab.ws, "child") == [*LINES, "Dockerfile:3"]


def test_stages_triggers_and_labels(lab: Lab) -> None:
    lab.dockerfile(
        "FROM base:1 AS first\nENV A=b\nONBUILD COPY app /on/\n\nFROM first\nCOPY --from=first /etc /etc2\nRUN make\n"
    )
    lab.build(tags=("app",), labels={"x": "y"})
    assert lines(lab.ws, "app") == [None, "Dockerfile:2", "Dockerfile:5", "Dockerfile:6", "Dockerfile:7"]


def test_a_step_of_an_image_has_the_lines_that_this_has(lab: Lab) -> None:
    lab.build(tags=("app",))
    image = images.find(lab.ws, "app")
    step = next(record for record in lab.ws.store.cache.records() if record.image_id not in (None, image.image_id))
    found = lines(lab.ws, str(step.image_id))
    assert 1 < len(found) < 4
    assert found == LINES[: len(found)]


def test_dockerfiles_by_another_name(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab.place)
    (lab.place / "docker files").mkdir()
    (lab.place / "Dockerfile").rename(lab.place / "docker files/web.Dockerfile")
    run_build(lab.ws, ".", tags=("app",), dockerfile="docker files/web.Dockerfile")
    assert lines(lab.ws, "app")[1] == "docker files/web.Dockerfile:2"


def test_a_committed_image_has_those_of_its_base(lab: Lab) -> None:
    lab.build(tags=("app",))
    os.close(create(lab.ws, RunRequest("app", ("app",), name="box"), lambda _: None).lock)
    commit(lab.ws, CommitRequest("box", name="made"))
    assert lines(lab.ws, "made") == [*LINES, None]


def test_lines_do_not_leave_the_store(lab: Lab, tmp_path: Path) -> None:
    image_id = lab.build(tags=("app",)).image_id
    archive = io.BytesIO()
    save(lab.ws, ["app"], TarSink(archive.write))
    assert b"dev.minidock.lines" not in archive.getvalue()
    other = workspace(tmp_path / "other")
    assert [item.image_id for item in load(other, io.BytesIO(archive.getvalue()))] == [image_id]
    assert lines(other, "app") == [None] * 4
    load(lab.ws, io.BytesIO(archive.getvalue()))
    assert lines(lab.ws, "app") == LINES


def test_what_others_wrote_there_means_nothing(lab: Lab) -> None:
    lab.build(tags=("app",))
    index = Path(lab.ws.store.layout.index)
    index.write_text(index.read_text().replace("[0,3,3]", "[7,3,3]"))
    assert lines(lab.ws, "app") == [None] * 4


def test_fates_tell_what_the_last_build_did(lab: Lab) -> None:
    lab.build(tags=("app",))
    (lab.place / "app/a").write_text("changed")
    lab.dockerfile("FROM base:1\nRUN first\nCOPY app /app/\n")
    lab.build(tags=("app",))
    (lab.place / "app/a").write_text("changed again")
    lab.build(tags=("app",))
    image = images.find(lab.ws, "app")
    fates = last_fates(lab.ws, image)
    assert [fates[diff_id].outcome if diff_id in fates else "" for diff_id in image.config.diff_ids] == [
        "",
        "cached",
        "rebuilt",
    ]
    prune_cache(lab.ws, is_all=True)
    assert last_fates(lab.ws, image) == {}


def test_step_images_are_found_with_and_without_the_build_cache(lab: Lab) -> None:
    lab.build(tags=("parent",))
    lab.dockerfile("FROM parent\nENV A=b\nRUN other\n")
    lab.build(tags=("child",))
    with_cache = images.history(lab.ws, "child")
    assert all(row.image_id is not None for row in with_cache)
    lengths = [len(images.load(lab.ws, row.image_id).config.history) for row in with_cache if row.image_id]
    assert lengths == [6, 5, 4, 3, 2, 1]
    prune_cache(lab.ws, is_all=True)
    named = {images.find(lab.ws, name).image_id for name in ("child", "parent", "base:1")}
    assert [row.image_id for row in images.history(lab.ws, "child")] == [
        row.image_id if row.image_id in named else None for row in with_cache
    ]
