"""Layers are unpacked beside the steps that come before the first RUN."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from minidock.core.digest import Digest
from minidock.engine import images
from minidock.engine.ahead import Ahead
from minidock.engine.side_by_side import Cancellation, Cancelled
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt, StepFailed
from minidock.runtime.fake import FakeRuntime
from minidock.store.writer import Disk
from tests.engine.building import PASSWD, import_base, run_build, workspace, write_context

ACCOUNTS = "etc/passwd"


class Witness(Disk):
    """A disk that notes which thread makes which file of an unpacked layer."""

    def __init__(self) -> None:
        self.made: dict[str, threading.Thread] = {}

    def open_new(self, path: str, mode: int = 0o600) -> int:
        _, is_unpacked, name = os.path.realpath(path).partition("/fs/")  # it may go through a descriptor
        if is_unpacked:
            self.made[name] = threading.current_thread()
        return super().open_new(path, mode)


@pytest.fixture
def disk() -> Witness:
    return Witness()


@pytest.fixture
def ws(tmp_path: Path, disk: Witness) -> Workspace:
    made = workspace(tmp_path / "store", FakeRuntime({"make": lambda _: None, "fail": lambda _: 3}), disk)
    import_base(made)
    return made


def context(tmp_path: Path, dockerfile: str) -> Path:
    return write_context(tmp_path / "context", {"Dockerfile": dockerfile, "file": "one"})


def base_layers(ws: Workspace) -> tuple[Digest, ...]:
    return images.find(ws, "base:1").config.diff_ids


@pytest.mark.parametrize("steps", ["COPY file /\nRUN make", "RUN make", "WORKDIR /w\nENV a=b\nRUN make"])
def test_the_base_is_unpacked_by_a_thread_of_its_own(tmp_path: Path, ws: Workspace, disk: Witness, steps: str) -> None:
    run_build(ws, context(tmp_path, f"FROM base:1\n{steps}\n"))
    assert disk.made[ACCOUNTS] is not threading.current_thread()
    assert not disk.made[ACCOUNTS].is_alive()


def test_nothing_is_unpacked_that_no_run_needs(tmp_path: Path, ws: Workspace, disk: Witness) -> None:
    run_build(ws, context(tmp_path, "FROM base:1\nCOPY file /\nWORKDIR /w\n"))
    assert disk.made == {}


def test_nothing_is_unpacked_for_a_run_that_is_cached(tmp_path: Path, ws: Workspace, disk: Witness) -> None:
    place = context(tmp_path, "FROM base:1\nRUN make\nCOPY file /\n")
    run_build(ws, place)
    disk.made.clear()
    (place / "file").write_text("two")
    run_build(ws, place)
    assert disk.made == {}


def test_a_failed_step_leaves_no_thread(tmp_path: Path, ws: Workspace) -> None:
    threads = threading.active_count()
    with pytest.raises(StepFailed):
        run_build(ws, context(tmp_path, "FROM base:1\nCOPY file /\nRUN fail\n"))
    assert threading.active_count() == threads
    assert os.listdir(ws.store.layout.path("tmp")) == []


def damage(ws: Workspace) -> None:
    (diff_id,) = base_layers(ws)
    blob = Path(ws.store.layout.blob(diff_id))
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes().replace(PASSWD.encode(), PASSWD.upper().encode()))


def test_the_step_that_needs_a_damaged_layer_tells_of_it(tmp_path: Path, ws: Workspace) -> None:
    damage(ws)
    with pytest.raises(BlobCorrupt, match=f"of /{ACCOUNTS}"):
        run_build(ws, context(tmp_path, "FROM base:1\nCOPY file /\nRUN make\n"))
    assert os.listdir(ws.store.layout.path("snapshots")) == []


def test_a_build_that_needs_the_layers_no_more_does_not_tell(ws: Workspace) -> None:
    damage(ws)
    threads = threading.active_count()
    with ws.store.session() as session:
        ahead = Ahead(ws, session)
        ahead.begin(base_layers(ws))
        ahead.wait([])  # another stage's stack
        ahead.close()
        assert threading.active_count() == threads
        ahead.begin(base_layers(ws))  # a stage that is being given up
        assert threading.active_count() == threads
    assert os.listdir(ws.store.layout.path("snapshots")) == []
    assert os.listdir(ws.store.layout.path("tmp")) == []


def test_a_stage_that_waits_for_layers_ends_with_the_build(ws: Workspace) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with ws.store.session() as session:
        ahead = Ahead(ws, session, cancellation.check)
        ahead.begin(base_layers(ws))
        with pytest.raises(Cancelled):
            ahead.wait(base_layers(ws))
        ahead.close()
    assert os.listdir(ws.store.layout.path("snapshots")) == []
    assert os.listdir(ws.store.layout.path("tmp")) == []


class Slow(Disk):
    """A disk on which the first file of an unpacked layer takes until it is ``released``."""

    def __init__(self) -> None:
        self.begun, self.released = threading.Event(), threading.Event()

    def open_new(self, path: str, mode: int = 0o600) -> int:
        if "/fs/" in os.path.realpath(path):
            self.begun.set()
            self.released.wait(30)
        return super().open_new(path, mode)


def test_an_interrupt_of_the_end_waits_for_what_is_being_unpacked(tmp_path: Path) -> None:
    disk, main = Slow(), threading.get_ident()
    made = workspace(tmp_path / "store", FakeRuntime({}), disk)
    import_base(made)
    threads = threading.active_count()
    interrupt = threading.Timer(0.1, lambda: signal.pthread_kill(main, signal.SIGINT))
    release = threading.Timer(0.3, disk.released.set)
    with pytest.raises(KeyboardInterrupt), made.store.session() as session:
        ahead = Ahead(made, session)
        ahead.begin(base_layers(made))
        disk.begun.wait(30)
        interrupt.start()
        release.start()
        ahead.close()
    release.join()
    assert threading.active_count() == threads
    assert os.listdir(made.store.layout.path("tmp")) == []
