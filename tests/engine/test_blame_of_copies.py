"""`blame` goes on into the stage or image that a COPY --from took a path from, and says so where it has to end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from minidock.core.blame import StepTouch
from minidock.core.step_lines import lines_from_text, lines_to_text
from minidock.engine import image_contents, images
from minidock.engine.collect import remove_image
from minidock.engine.prune import prune_cache
from minidock.engine.save import save
from minidock.engine.sinks import TarSink
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import import_base, run_build, workspace, write_context

DOCKERFILE = """\
FROM base:1 AS deps
COPY lib /lib-src
RUN compile

FROM deps AS build
WORKDIR /work
COPY --from=deps /built/out program
RUN finish

FROM base:1
WORKDIR /srv
COPY --from=build /work/program ./app
COPY --from=build /work/d /opt/d/
COPY --from=deps --parents /lib-src/*.py /py/
COPY --from=other:1 /etc/extra /etc/
COPY --from=build /lib-src/a.py /lib-src/link ./
"""

Told = list[object]


def compile_(rootfs: Path) -> None:
    (rootfs / "built").mkdir()
    (rootfs / "built/out").write_text("compiled")


def finish(rootfs: Path) -> None:
    (rootfs / "work/d").mkdir(parents=True)
    (rootfs / "work/program").write_text("stripped")
    (rootfs / "work/d/x").write_text("x")


class Lab:
    def __init__(self, place: Path) -> None:
        self.ws = workspace(place / "store", FakeRuntime({"compile": compile_, "finish": finish}))
        import_base(self.ws)
        self.place = write_context(place / "context", {"Dockerfile": DOCKERFILE, "lib/a.py": "a", "extra": "e"})
        (self.place / "lib/link").symlink_to("a.py")
        write_context(place / "other", {"Dockerfile": "# other\nFROM base:1\nCOPY extra /etc/extra\n", "extra": "e"})
        run_build(self.ws, place / "other", tags=("other:1",))
        run_build(self.ws, self.place, tags=("app:1",))

    def told(self, path: str, name: str = "app:1") -> Told:
        return told(image_contents.blame(self.ws, name, path).touches)


def told(touches: Sequence[StepTouch]) -> Told:
    """Return lines and deeds, oldest first, each followed by what is told of where it was taken from."""
    found: Told = []
    for step, touch, trail in touches:
        found.append(f"{step.lines} {touch.deed}")
        if trail is not None:
            found.append((f"{trail.copied.name} {trail.path}", told(trail.touches)))
    return found


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


BUILT = ("deps built/out", ["Dockerfile:3 added"])
PROGRAM = ["Dockerfile:7 added", BUILT, "Dockerfile:8 content"]


def test_a_file_is_followed_through_the_stages_that_it_went_through(lab: Lab) -> None:
    assert lab.told("/srv/app") == ["Dockerfile:12 added", ("build work/program", PROGRAM)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("opt/d", ["Dockerfile:13 added", ("build work/d", ["Dockerfile:8 added"])]),
        ("opt/d/x", ["Dockerfile:13 added", ("build work/d/x", ["Dockerfile:8 added"])]),
        ("py/lib-src/a.py", ["Dockerfile:14 added", ("deps lib-src/a.py", ["Dockerfile:2 added"])]),
        ("etc/extra", ["Dockerfile:15 added", ("other:1 etc/extra", ["Dockerfile:3 added"])]),
        ("srv/a.py", ["Dockerfile:16 added", ("build lib-src/a.py", ["Dockerfile:2 added"])]),
        ("srv/link", ["Dockerfile:16 added", ("build lib-src/a.py", ["Dockerfile:2 added"])]),  # what a link leads to
        ("opt", ["Dockerfile:13 added"]),  # made by the COPY itself
    ],
)
def test_paths_are_those_of_the_stage(lab: Lab, path: str, expected: Told) -> None:
    assert lab.told(path) == expected


def test_it_goes_on_from_the_cache_from_another_place_and_where_the_image_ends(lab: Lab) -> None:
    before = lab.told("srv/app")
    run_build(lab.ws, lab.place, tags=("app:2",))
    (lab.place / "Dockerfile").write_text("FROM app:2\nCOPY extra /x\n")
    run_build(lab.ws, lab.place, tags=("child:1",))
    remove_image(lab.ws, "app:1", is_forced=False)
    assert lab.told("srv/app", "app:2") == lab.told("srv/app", "child:1") == before


def test_the_image_is_the_same_and_says_nothing_of_it(lab: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path / "other-place")
    ids = [images.find(one.ws, "app:1").image_id for one in (lab, other)]
    assert b"lib-src" in lab.ws.store.blobs.read(ids[0])  # as history has it
    assert b'"deps"' not in lab.ws.store.blobs.read(ids[0])
    with (tmp_path / "saved.tar").open("wb") as file:
        save(lab.ws, ["app:1"], TarSink(file.write))
    assert b'"deps"' not in (tmp_path / "saved.tar").read_bytes()


def test_what_was_pruned_ends_the_trail_and_is_told(lab: Lab) -> None:
    prune_cache(lab.ws, is_all=True)
    assert lab.told("srv/app") == ["Dockerfile:12 added", ("build None", [])]
    remove_image(lab.ws, "other:1", is_forced=False)
    assert lab.told("etc/extra") == ["Dockerfile:15 added", ("other:1 None", [])]
    run_build(lab.ws, lab.place / "../other", tags=("other:1",))
    run_build(lab.ws, lab.place, tags=("app:1",))
    assert lab.told("srv/app") == ["Dockerfile:12 added", ("build work/program", PROGRAM)]


def test_records_are_read_as_they_were_written(lab: Lab) -> None:
    lines = images.known_lines(lab.ws.store.images.list(), images.find(lab.ws, "app:1").image_id)
    assert lines_from_text(lines_to_text(lines)) == lines
    assert [
        str(item.copied.lines[-1]) for item in lines if item is not None and item.copied and item.copied.is_stage
    ] == [
        "Dockerfile:8",
        "Dockerfile:8",
        "Dockerfile:3",
        "Dockerfile:8",
    ]
    for text in (
        "",
        "{",
        "[]",
        '{"files": ["D"], "steps": [[0, 1, 1, 0]]}',
        '{"files": [], "steps": [], "copies": [{}]}',
    ):
        assert lines_from_text(text) == ()
    older = '{"files": ["D"], "steps": [[0, 1, 2], null]}'
    assert [item and str(item) for item in lines_from_text(older)] == ["D:1-2", None]


def test_a_directory_tells_what_each_step_of_the_stage_stored_below_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    found = image_contents.blame(lab.ws, "app:1", "/opt/d")
    trail = found.touches[0].trail
    assert trail is not None
    assert [(share.step.instruction, share.file_count, share.sums.added) for share in found.shares] == [
        ("COPY --from=build /work/d /opt/d/", 1, 1)
    ]
    assert [
        (share.step.lines and share.step.lines.first, share.file_count, share.sums.added) for share in trail.shares
    ] == [(8, 1, 1)]
