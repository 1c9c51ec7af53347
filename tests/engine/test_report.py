"""The report of stores that builds have made, compared with what other commands say of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidock.engine import images
from minidock.engine.disk_usage import disk_usage
from minidock.engine.report import report
from minidock.engine.workspace import Workspace
from minidock.errors import NoSuchImage
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import import_base, run_build, workspace, write_context

DOCKERFILE = "FROM base:1\nENV X=1\nCOPY a /srv/a\nCOPY b /srv/b\nRUN clean\n"


def clean(rootfs: Path) -> None:
    (rootfs / "srv").mkdir(exist_ok=True)
    (rootfs / "srv/a").write_text("")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    made = workspace(tmp_path / "store", FakeRuntime({"clean": clean}))
    import_base(made)
    return made


def build(ws: Workspace, place: Path, files: dict[str, str], tag: str) -> None:
    run_build(ws, write_context(place, {"Dockerfile": DOCKERFILE} | files), tags=(tag,))


def test_a_store_that_is_not_there_gives_an_empty_report_and_stays_so(tmp_path: Path) -> None:
    found = report(workspace(tmp_path / "none"), (), "minidock")
    assert (found.images, found.layers, found.left_out) == ((), (), ())
    assert not (tmp_path / "none").exists()


def test_steps_tell_what_the_last_build_did(ws: Workspace, tmp_path: Path) -> None:
    build(ws, tmp_path / "c", {"a": "a" * 5000, "b": "b"}, "app:1")
    build(ws, tmp_path / "c", {"b": "c"}, "app:2")
    found = report(ws, (), "minidock")
    told = next(each.details for each in found.images if "app:2" in each.names)
    assert told is not None
    assert [
        (step.instruction, step.where, step.outcome, [reason.text for reason in step.reasons]) for step in told.steps
    ] == [
        ("base", "", "", []),
        ("ENV X=1", "Dockerfile:2", "", []),
        ("COPY a /srv/a", "Dockerfile:3", "cached", []),
        ("COPY b /srv/b", "Dockerfile:4", "rebuilt", ["1 of 1 file changed: b (content)"]),
        ("RUN clean", "Dockerfile:5", "rebuilt", ["parent rebuilt"]),
    ]
    hidden = next(file for file in told.files if file.path == "srv/a")
    assert hidden == ("srv/a", 5000, 2, "hidden", "overwritten", 4)
    assert told.bytes is not None
    assert told.bytes.hidden == 5000
    before = next(each.details for each in found.images if "app:1" in each.names)
    assert before is not None
    assert (before.built, [step.outcome for step in before.steps[2:]]) == ("2026-01-01T00:00:07Z", ["rebuilt"] * 3)


def test_numbers_are_those_of_history_and_df(ws: Workspace, tmp_path: Path) -> None:
    build(ws, tmp_path / "c", {"a": "a" * 5000, "b": "b"}, "app:1")
    build(ws, tmp_path / "c", {"b": "cc"}, "app:2")
    found, usage = report(ws, (), "minidock"), disk_usage(ws)
    assert found.on_disk == usage.on_disk
    assert {each.image_id: (each.size, each.shared_size, each.unique_size) for each in found.images} == {
        each.row.image_id: (each.row.size, each.shared_size, each.unique_size) for each in usage.images
    }
    assert found.stored_size == usage.summary[0].size
    for each in found.images:
        assert each.details is not None
        rows = images.history(ws, each.names[0])
        assert [step.size for step in reversed(each.details.steps)] == [row.size for row in rows]
        assert each.details.bytes is not None
        assert each.details.bytes.added == each.size
    for layer in found.layers:
        known = ws.store.layers.get(layer.diff_id)
        assert (layer.size, layer.stored_size) == (known.size, os.stat(ws.store.layout.blob(known.blob.digest)).st_size)


def test_only_the_time_differs_between_two_reports_of_a_store(ws: Workspace, tmp_path: Path) -> None:
    build(ws, tmp_path / "c", {"a": "a", "b": "b"}, "app:1")
    first, second = (report(ws, (), "minidock").to_json() for _ in range(2))
    assert first.pop("made") != second.pop("made")
    assert first == second


def test_an_image_of_that_name_must_be_there(ws: Workspace) -> None:
    with pytest.raises(NoSuchImage):
        report(ws, ("nothing:1",), "minidock")


def test_a_step_s_image_can_be_asked_for_too(ws: Workspace, tmp_path: Path) -> None:
    build(ws, tmp_path / "c", {"a": "a", "b": "b"}, "app:1")
    step = images.history(ws, "app:1")[1].image_id
    assert step is not None
    found = report(ws, (step.hex[:12],), "minidock")
    assert {each.names for each in found.images} == {(), ("app:1",), ("base:1",)}
    assert [each.image_id for each in found.images if each.details is not None] == [step]


def test_what_is_damaged_is_counted_and_does_not_hide_the_rest(ws: Workspace, tmp_path: Path) -> None:
    build(ws, tmp_path / "c", {"a": "a", "b": "b"}, "app:1")
    layer = images.find(ws, "app:1").config.diff_ids[-1]
    os.unlink(ws.store.layout.layer(layer))
    os.unlink(ws.store.layout.blob(layer))
    found = report(ws, (), "minidock")
    assert found.left_out == (
        "layers that are missing or damaged, and count as nothing: 1",
        "images whose files were not looked at: too many of them, or damaged: 1",
    )
    assert {each.names[0]: each.details is not None and bool(each.details.files) for each in found.images} == {
        "base:1": True,
        "app:1": False,
    }
