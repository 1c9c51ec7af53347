"""`commit` and `export` with real containers; `test_other_users` runs this file as other users too."""

from __future__ import annotations

import fcntl
import io
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.core.config import HistoryEntry
from minidock.core.mounts import MountOption, MountType
from minidock.core.summary import ContainerState
from minidock.engine import images
from minidock.engine.attend import Streams
from minidock.engine.client import Attachment
from minidock.engine.commit import CommitRequest, commit
from minidock.engine.containers import kill
from minidock.engine.export_container import export_container
from minidock.engine.handover import run_detached
from minidock.engine.importer import import_tar
from minidock.engine.run import create
from minidock.engine.run_request import RunRequest
from minidock.engine.start import start
from minidock.engine.supervise import run_attached
from minidock.engine.workspace import Workspace, open_workspace
from minidock.errors import BlobCorrupt, InvalidRequest, MinidockError, NoSuchContainer
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import check_consistent, content_of, import_base, shown, top_layer, tree_of, workspace
from tests.engine.machine_image import machine_tar

QUIET = Attachment(Streams(None, None, None))
SCRIPT = (
    "rm -r /gone; echo app >/home/app/new; chown 1000:1001 /home/app/new; chmod 4711 /home/app/new; ln -s x /link;"
    "mkdir -p /made/deep; printf one >/made/deep/one; ln /made/deep/one /made/two; mkfifo /made/pipe; mkdir -m 0 /shut"
)
LAYER = {
    "": "dir 755 0:0",
    "gone": "whiteout 644 0:0",
    "home": "dir 755 0:0",
    "home/app": "dir 755 1000:1001",
    "home/app/new": "file 4711 1000:1001 4",
    "link": "symlink 777 0:0 -> x",
    "made": "dir 755 0:0",
    "made/deep": "dir 755 0:0",
    "made/deep/one": "file 644 0:0 3",
    "made/pipe": "fifo 644 0:0",
    "made/two": "hardlink 644 0:0 -> made/deep/one",
    "shut": "dir 0 0:0",
}


@pytest.fixture(scope="module")
def image() -> bytes:
    return machine_tar()


@pytest.fixture
def ws(tmp_path: Path, image: bytes) -> Workspace:
    runtime = NativeRuntime()
    report = runtime.probe(str(tmp_path))
    if report.isolation is Isolation.UNAVAILABLE:
        pytest.skip(f"no process can be started here: {'; '.join(report.reasons)}")
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws, image, "machine")
    return ws


@pytest.fixture(params=["stopped", "running"])
def box(request: pytest.FixtureRequest, ws: Workspace) -> Iterator[str]:
    """A container that has changed files and ended, or goes on."""
    if request.param == "stopped":
        created = create(ws, RunRequest("machine", ("sh", "-c", SCRIPT), name="box"), lambda text: None)
        assert run_attached(ws, created, QUIET) == 0
        yield "box"
        return
    words = ("sh", "-c", f"{SCRIPT}; mkdir /done; exec sleep 1000")
    can_mount = ws.runtime.probe(ws.store.layout.root).isolation is not Isolation.CHROOT
    mounts = (MountOption("", "/volume/here", type=MountType.VOLUME),) if can_mount else ()
    created = create(ws, RunRequest("machine", words, name="box", mounts=mounts), lambda text: None)
    run_detached(ws, created)
    wait_for(ws.store.containers.path(created.record.id, "upper", "done"))
    yield "box"
    kill(ws, "box")


def wait_for(path: str) -> None:
    until = time.monotonic() + 20
    while not os.path.lexists(path):
        assert time.monotonic() < until
        time.sleep(0.01)


def exported(ws: Workspace, name: str) -> bytes:
    out = io.BytesIO()
    export_container(ws, name, out.write)
    return out.getvalue()


def test_a_commit_is_the_image_with_one_layer_more(ws: Workspace, box: str) -> None:
    request = CommitRequest(box, "snap:1", "Jane", "why", ("ENV X=y", 'CMD ["c"]'))
    image_id = commit(ws, request)
    done = {} if ws.store.containers.find(box).state.status is ContainerState.EXITED else {"done": "dir 755 0:0"}
    assert top_layer(ws, image_id) == {**LAYER, **done}
    made, base = images.find(ws, "snap:1").config, images.find(ws, "machine").config
    assert made.diff_ids[:-1] == base.diff_ids
    script = ws.store.containers.find(box).record.args[2]
    assert made.history == (*base.history, HistoryEntry(made.created, f"sh -c {script}", "why", "Jane"))
    assert (made.author, made.config.cmd, made.config.env[-1]) == ("Jane", ("c",), "X=y")
    assert content_of(ws, image_id, "made/two") == b"one"
    assert ws.store.containers.find(box).state.status in (ContainerState.RUNNING, ContainerState.EXITED)
    check_consistent(ws.store)


def test_an_export_is_the_tree_of_a_commit(ws: Workspace, box: str) -> None:
    committed = tree_of(ws, commit(ws, CommitRequest(box)))
    packed = exported(ws, box)
    again = tree_of(ws, import_tar(ws, io.BytesIO(packed), "again", message=""))

    def told(path: str) -> list[str]:
        found = (committed if path == "committed" else again).entries()[1:]
        return [f"{entry.path} {shown(entry)} {entry.mtime} {entry.sha256}" for entry in found]

    assert told("again") == told("committed")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = tar.getnames()
    assert names == sorted(names, key=str.encode)
    assert not {"gone", "gone/file", "."} & set(names)


def test_a_file_that_grows_is_taken_as_it_was_found(ws: Workspace) -> None:
    script = "while :; do printf 0123456789abcdef; done >/log"
    created = create(ws, RunRequest("machine", ("sh", "-c", script), name="busy"), lambda text: None)
    run_detached(ws, created)
    try:
        wait_for(ws.store.containers.path(created.record.id, "upper", "log"))
        image_id = commit(ws, CommitRequest("busy", pauses=False))
        exported(ws, "busy")
    finally:
        kill(ws, "busy")
    content = content_of(ws, image_id, "log")
    assert content == (b"0123456789abcdef" * (len(content) // 16 + 1))[: len(content)]


def test_a_container_that_changed_nothing_adds_no_layer(ws: Workspace) -> None:
    os.close(create(ws, RunRequest("machine", ("true",), name="idle"), lambda text: None).lock)
    made, base = images.load(ws, commit(ws, CommitRequest("idle"))).config, images.find(ws, "machine").config
    assert made.diff_ids == base.diff_ids
    assert made.history == (*base.history, HistoryEntry(made.created, "true", is_empty_layer=True))


def test_what_cannot_be_committed_is_told_in_dockers_words(ws: Workspace) -> None:
    os.close(create(ws, RunRequest("machine", ("true",), name="idle"), lambda text: None).lock)
    before = ws.store.images.list()
    with pytest.raises(NoSuchContainer):
        commit(ws, CommitRequest("nobody"))
    with pytest.raises(NoSuchContainer):
        exported(ws, "nobody")
    with pytest.raises(InvalidRequest, match="refusing to create a tag with a digest reference"):
        commit(ws, CommitRequest("idle", "x@sha256:" + "0" * 64))
    with pytest.raises(MinidockError, match="must be lowercase"):
        commit(ws, CommitRequest("idle", "BAD"))
    with pytest.raises(InvalidRequest, match="run is not a valid change command"):
        commit(ws, CommitRequest("idle", changes=("RUN x",)))
    assert ws.store.images.list() == before


def test_an_export_never_ships_wrong_bytes(ws: Workspace, box: str) -> None:
    (diff_id,) = images.find(ws, "machine").config.diff_ids
    largest = max(ws.store.layers.entries(diff_id), key=lambda entry: entry.size)
    blob = Path(ws.store.layout.blob(diff_id))
    blob.chmod(0o644)
    with blob.open("r+b") as out:
        out.seek(largest.offset)
        out.write(b"?")
    with pytest.raises(BlobCorrupt, match=f"of /{largest.path}"):
        exported(ws, box)


def test_a_container_that_was_only_created_is_exported_by_several_at_once_and_starts_then(ws: Workspace) -> None:
    created = create(ws, RunRequest("machine", ("true",), name="box"), lambda text: None)
    os.close(created.lock)  # as when the process of `create` ends
    sizes: list[int] = []

    def write(data: bytes) -> None:
        if not sizes and not os.geteuid():
            sizes.append(0)  # in the middle of it another one
            export_container(ws, "box", lambda more: sizes.append(len(more)))
        sizes.append(len(data))

    export_container(ws, "box", write)
    assert sum(sizes) > 0
    assert start(ws, "box", QUIET) == 0


def test_a_start_waits_for_those_who_read_the_files_and_says_so_after_a_while(ws: Workspace) -> None:
    told: list[str] = []

    def tell(whom: str) -> None:
        told.append(whom)
        os.close(reader)

    ws = open_workspace(ws.store.layout.root, tell)
    created = create(ws, RunRequest("machine", ("true",), name="box"), lambda text: None)
    os.close(created.lock)
    reader = os.open(ws.store.containers.path(created.record.id, "lock"), os.O_RDWR)
    fcntl.flock(reader, fcntl.LOCK_SH)
    assert start(ws, "box", QUIET) == 0  # and not None, which is what one gets who finds it started
    assert told == [f"those who read the files of container {created.record.id[:12]} (`export`, `cp`)"]
