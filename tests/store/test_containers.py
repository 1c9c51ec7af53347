from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from minidock.core.digest import Digest
from minidock.core.id_mode import IdMode
from minidock.core.mounts import MountOption
from minidock.core.networking import Networking, NetworkKind
from minidock.core.process import MountType, Recursion, User
from minidock.core.summary import ContainerState
from minidock.errors import MinidockError, NameConflict, NoSuchContainer
from minidock.store.container_record import ContainerRecord, RunState
from minidock.store.faults import Crash, Fault, FaultyDisk
from minidock.store.store import Store
from minidock.store.writer import Disk

NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
IMAGE = Digest.sha256(b"image")
LAYERS = (Digest.sha256(b"one"), Digest.sha256(b"two"))


def open_store(root: Path, disk: Disk | None = None, boot_id: str = "this boot") -> Store:
    uid = os.geteuid()
    id_mode = IdMode.ROOT if uid == 0 else IdMode.SINGLE
    return Store(str(root), uid=uid, id_mode=id_mode, boot_id=boot_id, disk=disk)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def record(name: str = "box", digit: str = "a", **fields: object) -> ContainerRecord:
    plain = ContainerRecord(digit * 64, name, NOW, IMAGE, "app", LAYERS, ("sh",))
    return replace(plain, **fields)  # type: ignore[arg-type]  # names of fields, checked by the dataclass


def create(store: Store, made: ContainerRecord) -> int:
    with store.session() as session:
        return store.containers.create(session, made, lambda path: store.disk.mkdir(f"{path}/upper"))


def test_records_read_back_as_they_were_written() -> None:
    full = record(
        env=("A=1",),
        cwd="/srv",
        user_text="app:app",
        user=User(1, 2, (3, 4), "/home/app"),
        mounts=(
            MountOption("data", "/data", mode="z", has_copy=False, subpath="sub", labels={"a": "b"}),
            MountOption("/host", "/x", True, MountType.BIND, propagation="rslave", recursion=Recursion.WRITABLE),
            MountOption("", "/t", type=MountType.TMPFS, is_short=False, tmpfs=("size=1",), driver_options={"o": "x"}),
        ),
        hostname="host",
        networking=Networking(NetworkKind.NONE, "none"),
        has_terminal=True,
        has_stdin=True,
        stop_signal="SIGINT",
        labels={"k": "v"},
        auto_remove=True,
        has_log=False,
        is_copied=True,
        entrypoint=("sh",),
    )
    assert ContainerRecord.from_json(json.loads(json.dumps(full.to_json()))) == full
    assert full.volumes == ("data",)
    state = RunState(ContainerState.EXITED, 5, 6, "boot", 7, "why", NOW, NOW + timedelta(seconds=1), True)
    assert RunState.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_container_is_found_by_name_id_and_prefix(store: Store) -> None:
    first, second = create(store, record("one", "a")), create(store, record("two", "b", created=NOW + timedelta(1)))
    assert [item.record.name for item in store.containers.list()] == ["two", "one"]
    for text in ("one", "/one", "a" * 64, "aaa"):
        assert store.containers.find(text).record == record("one", "a")
    for text in ("ab", "on", ""):
        with pytest.raises(NoSuchContainer, match=f"^No such container: {text}$"):
            store.containers.find(text)
    os.close(first)
    os.close(second)


def test_name_wins_over_the_beginning_of_an_id_and_an_ambiguous_one_is_refused(store: Store) -> None:
    made = [create(store, record("bb", "a")), create(store, record("two", "b"))]
    made.append(create(store, replace(record("three"), id="b" * 63 + "c")))
    assert store.containers.find("bb").id == "a" * 64
    with pytest.raises(MinidockError, match=r"^Multiple IDs found with provided prefix: bbb$"):
        store.containers.find("bbb")
    for lock in made:
        os.close(lock)


def test_taken_name_is_refused_and_leaves_nothing(store: Store) -> None:
    os.close(create(store, record("box", "a")))
    with pytest.raises(NameConflict) as caught:
        create(store, record("box", "b"))
    assert caught.value.owner == "a" * 64
    assert os.listdir(store.layout.path("containers")) == ["a" * 64]
    assert os.listdir(store.layout.path("tmp")) == []


def test_container_runs_as_long_as_its_lock_is_held(store: Store) -> None:
    lock = create(store, record())
    assert store.containers.find("box").state == RunState()
    assert store.containers.find("box").is_watched
    running = RunState(ContainerState.RUNNING, 5, 6, "this boot", started_at=NOW)
    store.containers.write_state("a" * 64, running)
    assert store.containers.find("box").state == running
    os.close(lock)
    assert store.containers.find("box").state == replace(running, status=ContainerState.EXITED, exit_code=137)
    assert not store.containers.find("box").is_watched


def test_container_of_an_earlier_boot_has_exited(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", boot_id="earlier boot")
    os.close(create(store, record()))
    store.containers.write_state("a" * 64, RunState(ContainerState.RUNNING, 5, 6, "earlier boot"))
    state = open_store(tmp_path / "store").containers.find("box").state
    assert (state.status, state.exit_code) == (ContainerState.EXITED, 255)


def test_asking_does_not_make_others_believe_that_it_runs(store: Store) -> None:
    os.close(create(store, record()))
    asking = os.open(store.containers.path("a" * 64, "lock"), os.O_RDONLY)
    import fcntl

    fcntl.flock(asking, fcntl.LOCK_SH)  # another process in the middle of `is_watched`
    assert not store.containers.is_watched("a" * 64)
    os.close(asking)


def test_state_that_a_power_cut_emptied_is_an_exit(store: Store) -> None:
    os.close(create(store, record()))
    Path(store.containers.path("a" * 64, "state.json")).write_bytes(b"")
    state = store.containers.find("box").state
    assert (state.status, state.exit_code) == (ContainerState.EXITED, 255)


def test_directory_without_a_record_is_rubbish_and_one_with_a_strange_record_is_not(store: Store) -> None:
    os.close(create(store, record()))
    os.mkdir(store.containers.path("b" * 64))
    os.mkdir(store.containers.path("c" * 64))
    Path(store.containers.path("c" * 64, "config.json")).write_text('{"version": 99}')
    assert [item.id for item in store.containers.list()] == ["a" * 64]
    assert store.containers.half_made() == ("b" * 64,)


def test_removal_frees_the_name_at_once(store: Store) -> None:
    os.close(create(store, record("box", "a")))
    store.containers.mark_removing("a" * 64, removes_volumes=True)
    with pytest.raises(NoSuchContainer):
        store.containers.find("box")
    os.close(create(store, record("box", "b")))
    assert store.containers.find("box").id == "b" * 64
    assert store.containers.get("a" * 64).state.removes_volumes


def test_what_containers_need_is_known(store: Store) -> None:
    from minidock.core.config import chain_ids

    os.close(create(store, record()))
    assert store.containers.digests() == {IMAGE, *LAYERS, *chain_ids(LAYERS)}


def test_store_that_is_not_there_has_no_containers(store: Store) -> None:
    assert store.containers.list() == []
    assert store.containers.digests() == set()


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_INSIDE, Fault.CRASH_AFTER])
def test_a_crash_leaves_a_whole_container_or_none(tmp_path: Path, fault: Fault) -> None:
    def make(store: Store) -> None:
        os.close(create(store, record()))

    for number, root in _crashes(tmp_path, fault, lambda store: None, make):
        store = open_store(root)
        with store.session():
            pass  # sweeps
        found = store.containers.list()
        assert [item.record for item in found] in ([], [record()]), number
        assert store.containers.half_made() == (), number
        assert os.listdir(store.layout.path("tmp")) == [], number
        assert all(os.path.isdir(store.containers.path(item.id, "upper")) for item in found), number


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_INSIDE, Fault.CRASH_AFTER])
def test_a_crash_never_brings_an_old_state_half_back(tmp_path: Path, fault: Fault) -> None:
    before, after = RunState(), RunState(ContainerState.RUNNING, 5, 6, "another boot")

    def change(store: Store) -> None:
        store.containers.write_state("a" * 64, after)

    for number, root in _crashes(tmp_path, fault, lambda store: os.close(create(store, record())), change):
        state = open_store(root).containers.find("box").state
        assert state in (before, replace(after, status=ContainerState.EXITED, exit_code=255)), number


def _crashes(
    place: Path, fault: Fault, prepare: Callable[[Store], None], act: Callable[[Store], None]
) -> list[tuple[int, Path]]:
    """Let ``act`` die at each of its operations in turn; return the stores that this leaves."""
    roots: list[tuple[int, Path]] = []
    while True:
        number = len(roots) + 1
        root = place / f"{fault.name}-{number}"
        prepare(open_store(root))
        disk = FaultyDisk(number, fault)
        try:
            act(open_store(root, disk))
        except Crash:
            roots.append((number, root))
            continue
        assert len(roots) >= 3
        return roots
