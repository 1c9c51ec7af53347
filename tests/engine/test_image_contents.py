"""Names and numbers of what is in layers, on images whose layers hide, copy and replace; built for real."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from minidock.core.blame import Deed
from minidock.core.image_steps import plain_instruction
from minidock.core.stored_files import LayerBytes, layer_bytes, stored_files
from minidock.core.tree_changes import tree_size
from minidock.engine import image_contents, step_details
from minidock.engine.export_container import export_container
from minidock.engine.image_layers import image_layers
from minidock.engine.run import create
from minidock.engine.run_request import RunRequest
from minidock.engine.workspace import SystemClock, Workspace
from minidock.errors import InvalidRequest, NoSuchImage, NoSuchPath
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import import_base, open_store, run_build, shown, write_context
from tests.engine.machine_image import machine_tar

BIG = 20_000_000
DOCKERFILE = """\
FROM machine AS made
RUN mkdir /out && printf 12345 >/out/program

FROM machine
LABEL who=me
COPY big /opt/big
COPY small /opt/cache/small
COPY small /opt/cache/more
COPY first /etc/conf
RUN chmod 600 /opt/big
RUN rm /opt/cache/small && \\
    mkdir /opt/kept && printf kept >/opt/kept/file
RUN chown 1000:1001 /opt/big
COPY --from=made /out/program /etc/conf
RUN rm -r /opt/cache && mkdir /opt/cache && printf new >/opt/cache/new
RUN rm -r /opt/kept && printf file >/opt/kept
RUN printf linked >/opt/one && ln /opt/one /opt/two
RUN rm /opt/one && mv /opt/big /opt/moved
"""


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A store with the image `app`."""
    place = tmp_path_factory.mktemp("layers")
    runtime = NativeRuntime()
    if runtime.probe(str(place)).isolation is Isolation.UNAVAILABLE:
        pytest.skip("no process can be started here")
    ws = Workspace(open_store(place / "store"), SystemClock(), NativeRuntime)
    import_base(ws, machine_tar(), "machine")
    files = {"Dockerfile": DOCKERFILE, "big": os.urandom(BIG), "small": "s" * 300, "first": "1"}
    run_build(ws, write_context(place / "context", files), tags=("app",))
    return ws


def test_every_step_tells_its_bytes_and_its_line(ws: Workspace) -> None:
    rows = [row for row in reversed(step_details.history(ws, "app")) if row.details is not None]
    assert [
        (row.details.lines, row.size, row.details.hidden, row.details.duplicated, row.details.last_build)
        for row in rows[1:]
        if row.details is not None
    ] == [
        ("Dockerfile:5", 0, 0, 0, ""),
        ("Dockerfile:6", BIG, 0, 0, "ran"),
        ("Dockerfile:7", 300, 300, 0, "ran"),
        ("Dockerfile:8", 300, 300, 0, "ran"),
        ("Dockerfile:9", 1, 1, 0, "ran"),
        ("Dockerfile:10", BIG, 0, BIG, "ran"),
        ("Dockerfile:11-12", 4, 4, 0, "ran"),
        ("Dockerfile:13", BIG, 0, BIG, "ran"),
        ("Dockerfile:14", 5, 0, 0, "ran"),
        ("Dockerfile:15", 3, 0, 0, "ran"),
        ("Dockerfile:16", 4, 0, 0, "ran"),
        ("Dockerfile:17", 6, 0, 0, "ran"),
        ("Dockerfile:18", BIG, 0, BIG, "ran"),
    ]
    base = rows[0].details
    assert base is not None
    assert (base.lines, base.hidden, base.last_build) == ("", 0, "")


def test_visible_bytes_are_those_of_an_exported_container(ws: Workspace, tmp_path: Path) -> None:
    sums = [layer_bytes(files) for files in stored_files(image_layers(ws, "app").entries)]
    created = create(ws, RunRequest("app", ("sh",), name="box"), lambda _: None)
    os.close(created.lock)
    exported = io.BytesIO()
    export_container(ws, "box", exported.write)
    with tarfile.open(fileobj=io.BytesIO(exported.getvalue())) as archive:
        size = sum(member.size for member in archive.getmembers() if member.isreg())
    assert sum(item.visible for item in sums) == size
    assert tree_size(image_contents.files(ws, "app")) == size
    # And as du counts: every inode once.
    subprocess.run(["tar", "-x", "--no-same-owner", "-C", tmp_path], input=exported.getvalue(), check=True)
    find = ["find", tmp_path, "-type", "f", "-printf", "%i %s\\n"]
    printed = subprocess.run(find, check=True, capture_output=True, text=True).stdout
    assert sum(int(line.split()[1]) for line in set(printed.splitlines())) == size


def told(ws: Workspace, path: str) -> list[tuple[str, Deed, str]]:
    return [
        (str(step.lines), touch.deed, ", ".join(difference.text for difference in touch.differences) or touch.cause)
        for step, touch, _ in image_contents.blame(ws, "app", path).touches
    ]


def test_blame_names_who_put_a_file_there_and_who_touched_it(ws: Workspace) -> None:
    assert told(ws, "/opt/big") == [
        ("Dockerfile:6", Deed.ADDED, ""),
        ("Dockerfile:10", Deed.ATTRIBUTES, "mode 644→600"),
        ("Dockerfile:13", Deed.ATTRIBUTES, "owner 0:0→1000:1001"),
        ("Dockerfile:18", Deed.DELETED, "opt/big"),
    ]
    assert told(ws, "etc/conf") == [("Dockerfile:9", Deed.ADDED, ""), ("Dockerfile:14", Deed.CONTENT, "content")]


def test_blame_names_who_hid_a_file(ws: Workspace) -> None:
    assert told(ws, "/opt/cache/small") == [
        ("Dockerfile:7", Deed.ADDED, ""),
        ("Dockerfile:11-12", Deed.DELETED, "opt/cache/small"),
    ]
    assert told(ws, "/opt/cache/more") == [
        ("Dockerfile:8", Deed.ADDED, ""),
        ("Dockerfile:15", Deed.DELETED, "opt/cache/more"),
    ]
    assert told(ws, "/opt/kept/file") == [
        ("Dockerfile:11-12", Deed.ADDED, ""),
        ("Dockerfile:16", Deed.REPLACED, "opt/kept"),
    ]
    assert told(ws, "/opt/kept") == [("Dockerfile:11-12", Deed.ADDED, ""), ("Dockerfile:16", Deed.TYPE, "dir→file")]
    assert image_contents.blame(ws, "app", "/opt/kept/file").entry is None


def test_blame_of_a_directory_sums_what_is_below(ws: Workspace) -> None:
    found = image_contents.blame(ws, "app", "/opt/cache")
    assert [(str(step.lines), count, sums) for step, count, sums in found.shares] == [
        ("Dockerfile:7", 1, LayerBytes(hidden=300)),
        ("Dockerfile:8", 1, LayerBytes(hidden=300)),
        ("Dockerfile:15", 1, LayerBytes(visible=3)),
    ]


def test_blame_follows_links_above_a_path(ws: Workspace) -> None:
    entries = image_contents.files(ws, "app")
    link = next((entry for entry in entries if entry.path == "lib" and entry.kind == "symlink"), None)
    if link is None:
        pytest.skip("this machine's /lib is a directory")
    target = next(entry for entry in entries if entry.kind == "file" and entry.path.startswith(f"{link.linkname}/"))
    found = image_contents.blame(ws, "app", "lib" + target.path.removeprefix(link.linkname))
    assert (found.path, found.entry) == (target.path, target)


def test_blame_of_what_was_never_there(ws: Workspace) -> None:
    with pytest.raises(NoSuchPath) as problem:
        image_contents.blame(ws, "app", "nowhere/at/all")
    assert str(problem.value) == "/nowhere/at/all was never in app"
    with pytest.raises(NoSuchImage):
        image_contents.blame(ws, "none", "/")


def listed(ws: Workspace, layer: str) -> dict[str, str]:
    return {entry.path: shown(entry) for entry in image_contents.files(ws, "app", layer)}


def test_a_layer_is_found_by_number_and_digest(ws: Workspace) -> None:
    steps = [step for step in image_layers(ws, "app").steps if step.diff_id is not None]
    number, step = next(
        (number, step) for number, step in enumerate(steps, 1) if "chmod" in plain_instruction(step.created_by)
    )
    assert step.diff_id is not None
    assert listed(ws, str(number)) == listed(ws, str(step.diff_id)) == listed(ws, step.diff_id.hex[:9])
    assert listed(ws, str(number)) == {"": "dir 755 0:0", "opt": "dir 755 0:0", "opt/big": f"file 600 0:0 {BIG}"}


@pytest.mark.parametrize("wanted", ["0", "14", "-1", "nothing", "abc"])
def test_a_layer_that_is_not_there(ws: Workspace, wanted: str) -> None:
    with pytest.raises(InvalidRequest, match=f"app: no layer {wanted}"):
        image_contents.files(ws, "app", wanted)


def test_a_diff_of_images_is_the_work_of_the_steps_between(ws: Workspace) -> None:
    found = image_contents.diff(ws, "machine", "app")
    assert [(change.kind, change.path, change.growth) for change in found.changes] == [
        ("added", "etc/conf", 5),
        ("added", "opt", 0),
        ("added", "opt/cache", 0),
        ("added", "opt/cache/new", 3),
        ("added", "opt/kept", 4),
        ("added", "opt/moved", BIG),
        ("added", "opt/two", 6),
    ]
    assert found.after_size - found.before_size == BIG + 5 + 3 + 4 + 6
