"""Containers with programs that are Python functions: everything but the process itself."""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minidock.core.id_mode import IdMode
from minidock.core.lifecycle import LifeCycle
from minidock.core.mount_keys import parse_mount
from minidock.core.mounts import MountOption
from minidock.core.networking import NetworkChoice, Networking, NetworkKind, NetworkWish
from minidock.core.process import DEFAULT_PATH, Mount, MountType
from minidock.core.summary import ContainerState
from minidock.engine import changes, container_list, container_prune, container_removal, containers, logs, volumes
from minidock.engine.attend import Streams
from minidock.engine.client import Attachment
from minidock.engine.commit import CommitRequest, commit
from minidock.engine.container_inspect import inspect_container
from minidock.engine.exec import ExecRequest, execute
from minidock.engine.run import Created, create, process_spec
from minidock.engine.run_request import RunRequest
from minidock.engine.supervise import run_attached
from minidock.engine.workspace import Workspace
from minidock.errors import (
    CommandNotFound,
    ContainerNotRunning,
    ContainerRunning,
    InvalidRequest,
    MinidockError,
    NameConflict,
    NoSuchContainer,
    NoSuchImage,
    NoSuchNetwork,
    NoSuchVolume,
    RuntimeProblem,
    VolumeInUse,
)
from minidock.runtime.base import Isolation, RuntimeReport
from minidock.runtime.fake import UNTIL_SIGNALLED, FakeRuntime
from minidock.store.faults import Crash, Fault, FaultyDisk
from tests.engine.building import (
    directory,
    import_base,
    link,
    member,
    root_tar,
    run_build,
    workspace,
    write_context,
)

PASSWD = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
BASE = root_tar(
    [
        directory("."),
        directory("etc"),
        (member("etc/passwd"), PASSWD),
        directory("srv"),
        directory("srv/data", 0o700),
        (member("srv/data/one"), b"one"),
        member("srv/data/same", tarfile.LNKTYPE, linkname="srv/data/one"),
        link("data", "srv/data"),
    ]
)


def change(root: Path) -> str:
    """Add, change and delete something, as the files that overlayfs would show."""
    (root / "new").write_bytes(b"12345")
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_bytes(b"123")
    return "changed\n"


def fail(root: Path) -> int:
    return 3


PROGRAMS: dict[str, Any] = {"change": change, "fail": fail, "true": lambda root: None, "wait": UNTIL_SIGNALLED}


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(PROGRAMS)


@pytest.fixture
def ws(tmp_path: Path, runtime: FakeRuntime) -> Workspace:
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws, BASE)
    return ws


def no_warning(text: str) -> None:
    raise AssertionError(text)


def make(ws: Workspace, *args: str, warn: Callable[[str], None] = no_warning, **fields: Any) -> Created:
    return create(ws, RunRequest("base:1", args, **fields), warn)


def run(ws: Workspace, streams: Streams, *args: str, **fields: Any) -> int:
    return run_attached(ws, make(ws, *args, **fields), Attachment(streams)) or 0


def leftovers(ws: Workspace) -> list[str]:
    return [
        f"{name}/{item}"
        for name in ("containers", "volumes", "tmp", "trash")
        for item in os.listdir(f"{ws.store.layout.root}/{name}")
    ]


def test_exit_code_output_and_state_are_kept(ws: Workspace, streams: Streams, tmp_path: Path) -> None:
    assert run(ws, streams, "change", name="box") == 0
    assert (tmp_path / "out").read_text() == "changed\n"
    assert list(logs.logs(ws, "box")) == [("stdout", b"changed\n")]
    assert run(ws, streams, "fail", name="other") == 3
    rows = container_list.list_containers(ws, includes_all=True)
    assert [(row.names, row.state, row.exit_code) for row in rows] == [
        (("other",), ContainerState.EXITED, 3),
        (("box",), ContainerState.EXITED, 0),
    ]
    assert container_list.list_containers(ws) == ()
    assert len(container_list.list_containers(ws, includes_all=True, count=1)) == 1


def test_process_gets_what_the_user_and_the_image_say(ws: Workspace, tmp_path: Path) -> None:
    created = make(
        ws,
        "true",
        name="box",
        env=("A=1", "B", "C"),
        environment={"B": "2", "D": "4"},
        cwd="/srv",
        user="app",
        hostname="host",
        network=NetworkWish((NetworkChoice("none"),)),
        has_terminal=True,
        mounts=(MountOption(str(tmp_path / "made/here"), "/mnt", True, MountType.BIND),),
    )
    os.close(created.lock)
    spec = process_spec(ws, created)
    assert spec.args == ("true",)
    assert spec.env == (f"PATH={DEFAULT_PATH}", "HOSTNAME=host", "TERM=xterm", "A=1", "B=2", "HOME=/home/app")
    assert (spec.cwd, spec.hostname, spec.networking, spec.has_terminal) == (
        "/srv",
        "host",
        Networking(NetworkKind.NONE, "none"),
        True,
    )
    assert (spec.user.uid, spec.user.gid) == (1000, 1001)
    assert spec.mounts == (Mount(str(tmp_path / "made/here"), "/mnt", is_read_only=True),)
    assert (tmp_path / "made/here").is_dir()


def test_host_name_is_the_short_id_unless_given(ws: Workspace) -> None:
    created = make(ws, "true")
    os.close(created.lock)
    assert process_spec(ws, created).hostname == created.record.id[:12]


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"image": "nosuch:1"}, NoSuchImage, "No such image: nosuch:1"),
        ({"args": ()}, InvalidRequest, "No command specified"),
        ({"name": "x"}, InvalidRequest, "Invalid container name (x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        ({"network": NetworkWish((NetworkChoice("nonet"),))}, NoSuchNetwork, "network nonet not found"),
        ({"user": "nobody"}, RuntimeProblem, "unable to find user nobody: no matching entries in passwd file"),
        ({"stop_signal": "NOSUCH"}, MinidockError, "invalid signal: NOSUCH"),
        (
            {"mounts": (MountOption("", "/x"), MountOption("data", "/x"))},
            InvalidRequest,
            "Duplicate mount point: /x",
        ),
    ],
)
def test_what_cannot_be_made_leaves_nothing(
    ws: Workspace, fields: dict[str, Any], error: type[MinidockError], message: str
) -> None:
    with pytest.raises(error) as caught:
        create(ws, RunRequest(**{"image": "base:1", "args": ("true",), **fields}), no_warning)
    assert str(caught.value) == message
    assert leftovers(ws) == []


def test_taken_name_is_refused_before_any_volume_is_made(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "true", name="box")
    with pytest.raises(NameConflict):
        make(ws, "true", name="box", mounts=(MountOption("data", "/x"), MountOption("", "/y")))
    assert volumes.list_volumes(ws) == ()


def test_of_two_that_want_one_name_at_once_one_gets_it(ws: Workspace) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def contend() -> None:
        other = workspace(ws.store.layout.root, FakeRuntime(PROGRAMS))
        barrier.wait()
        try:
            os.close(make(other, "true", name="box").lock)
            outcomes.append("made")
        except NameConflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]
    assert len(ws.store.containers.list()) == 1


def test_command_that_is_not_there_leaves_a_created_container_that_says_why(ws: Workspace, streams: Streams) -> None:
    with pytest.raises(CommandNotFound):
        run(ws, streams, "nosuch", name="box")
    state = ws.store.containers.find("box").state
    assert (state.status, state.exit_code) == (ContainerState.CREATED, 127)
    assert state.error == 'exec: "nosuch": executable file not found in $PATH'
    container_removal.remove(ws, "box")
    assert leftovers(ws) == []


@pytest.mark.parametrize("command", ["change", "nosuch"])
def test_rm_leaves_nothing_but_named_volumes(ws: Workspace, streams: Streams, command: str) -> None:
    options = (MountOption("data", "/x"), MountOption("", "/y"))
    try:
        assert run(ws, streams, command, auto_remove=True, mounts=options) == 0
    except CommandNotFound:
        assert command == "nosuch"
    assert leftovers(ws) == ["volumes/data"]


def test_changes_are_listed_by_path_and_counted(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "change", name="box")
    assert [(item.kind, item.path) for item in changes.changes(ws, "box")] == [
        ("C", "/etc"),
        ("C", "/etc/passwd"),
        ("A", "/new"),
    ]
    row = container_list.list_containers(ws, includes_all=True, has_sizes=True)[0]
    assert (row.size_rw, row.size_root) == (8, 8 + len(PASSWD) + len(b"one"))


def test_without_overlay_a_copy_is_made_with_one_warning(ws: Workspace, streams: Streams, tmp_path: Path) -> None:
    def program(root: Path) -> None:
        (root / "new").write_bytes(b"12345")
        (root / "etc/passwd").unlink()

    report = RuntimeReport(Isolation.NAMESPACES, IdMode.ROOT, has_overlay=False)
    copying = ws.with_runtime(FakeRuntime({"program": program}, report=report))
    warnings: list[str] = []
    run(copying, streams, "program", name="box", warn=warnings.append)
    assert warnings == [
        "overlayfs cannot be used for this store: the container gets a whole copy of its root file system"
    ]
    assert [(item.kind, item.path) for item in changes.changes(copying, "box")] == [
        ("C", "/etc"),
        ("D", "/etc/passwd"),
        ("A", "/new"),
    ]
    assert container_list.list_containers(copying, includes_all=True, has_sizes=True)[0].size_rw == 5


def test_new_volume_gets_what_the_image_has_in_its_place(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "true", mounts=(MountOption("vol", "/data"),))
    data = Path(ws.store.volumes.data("vol"))
    assert sorted(os.listdir(data)) == ["one", "same"]
    assert (data / "one").read_bytes() == b"one"
    assert (data / "one").stat().st_ino == (data / "same").stat().st_ino
    assert data.stat().st_mode & 0o7777 == 0o700
    (data / "one").write_bytes(b"mine")
    run(ws, streams, "true", mounts=(MountOption("vol", "/data"),))
    assert (data / "one").read_bytes() == b"mine"


def test_volume_is_kept_while_a_container_uses_it(ws: Workspace, streams: Streams) -> None:
    run(
        ws,
        streams,
        "true",
        name="box",
        mounts=(*(MountOption("vol", path) for path in ["/x", "/z"]), MountOption("", "/y")),
    )
    box = ws.store.containers.find("box")
    assert len(volumes.list_volumes(ws)) == 2
    assert volumes.prune(ws, includes_named=True) == ()
    with pytest.raises(VolumeInUse) as caught:
        volumes.remove(ws, "vol")
    assert caught.value.containers == [box.id]
    container_removal.remove(ws, "box")
    assert len(volumes.list_volumes(ws)) == 2
    anonymous = next(name for name in box.record.volumes if name != "vol")
    assert volumes.prune(ws) == (anonymous,)
    volumes.remove(ws, "vol")
    with pytest.raises(NoSuchVolume):
        volumes.remove(ws, "vol")
    volumes.remove(ws, "vol", is_forced=True)


def test_removal_takes_anonymous_volumes_along_if_asked(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "true", name="box", mounts=(MountOption("vol", "/x"), MountOption("", "/y")))
    container_removal.remove(ws, "box", removes_volumes=True)
    assert [row.name for row in volumes.list_volumes(ws)] == ["vol"]


def test_container_whose_monitor_died_is_removed_by_the_next_if_it_was_to_go(ws: Workspace, streams: Streams) -> None:
    os.close(make(ws, "true", auto_remove=True, mounts=(MountOption("", "/y"),)).lock)
    assert len(leftovers(ws)) == 2
    run(ws, streams, "true", auto_remove=True)
    assert leftovers(ws) == []


class Running:
    """A container in the background: its monitor is a thread of this process."""

    def __init__(self, ws: Workspace, runtime: FakeRuntime, streams: Streams, **fields: Any) -> None:
        self.created = make(ws, "wait", name="box", **fields)
        self._thread = threading.Thread(target=lambda: run_attached(ws, self.created, Attachment(streams)))
        self._thread.start()
        while not ws.store.containers.find("box").is_running:
            self._thread.join(0.01)

    def wait(self) -> None:
        self._thread.join()


def test_running_container_is_not_removed_unless_forced(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    box = Running(ws, runtime, streams)
    with pytest.raises(ContainerRunning, match=f"^You cannot remove a running container {box.created.record.id}. Stop"):
        container_removal.remove(ws, "box")
    assert container_prune.prune(ws) == ((), 0)
    container_removal.remove(ws, "box", is_forced=True)
    box.wait()
    assert leftovers(ws) == []


def test_stop_sends_the_stop_signal(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    box = Running(ws, runtime, streams, stop_signal="INT")
    containers.stop(ws, "box")
    box.wait()
    assert ws.store.containers.find("box").state.exit_code == 130
    containers.stop(ws, "box")


def test_kill_needs_a_container_that_runs(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    box = Running(ws, runtime, streams)
    with pytest.raises(
        InvalidRequest, match=r"^Cannot kill container: box: the linux daemon does not support signal 99$"
    ):
        containers.kill(ws, "box", "99")
    containers.kill(ws, "box")
    box.wait()
    assert ws.store.containers.find("box").state.exit_code == 137
    with pytest.raises(ContainerNotRunning) as caught:
        containers.kill(ws, "box")
    assert str(caught.value) == f"Cannot kill container: box: Container {box.created.record.id} is not running"
    with pytest.raises(NoSuchContainer, match=r"^Cannot kill container: nosuch: No such container: nosuch$"):
        containers.kill(ws, "nosuch")


def test_exec_inherits_from_the_container(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    box = Running(ws, runtime, streams, env=("A=1",), cwd="/srv", user="app")
    assert execute(ws, "box", ExecRequest(("fail",), env=("B=2",)), Attachment(streams)) == 3
    spec = runtime.ran[-1]
    assert (spec.cwd, spec.user.uid) == ("/srv", 1000)
    assert spec.env[2:] == ("B=2", "A=1", "HOME=/home/app")
    assert execute(ws, "box", ExecRequest(("true",), cwd="/etc", user="0"), Attachment(streams)) == 0
    assert (runtime.ran[-1].cwd, runtime.ran[-1].user.uid) == ("/etc", 0)
    for request, code in ((ExecRequest(("true",), user="nosuch"), 126), (ExecRequest(("nosuch",)), 127)):
        with pytest.raises(RuntimeProblem) as refused:
            execute(ws, "box", request, Attachment(streams))
        assert refused.value.exit_code == code
    containers.kill(ws, "box")
    box.wait()
    with pytest.raises(ContainerNotRunning):
        execute(ws, "box", ExecRequest(("true",)), Attachment(streams))


def test_exec_knows_users_that_the_container_has_added(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    box = Running(ws, runtime, streams)
    upper = Path(ws.store.containers.path(box.created.record.id, "upper"))
    (upper / "etc").mkdir()
    (upper / "etc/passwd").write_text("late:x:77:78::/late:\n")
    execute(ws, "box", ExecRequest(("true",), user="late"), Attachment(streams))
    assert (runtime.ran[-1].user.uid, runtime.ran[-1].user.home) == (77, "/late")
    (upper / "etc/passwd").unlink()
    (upper / "etc/passwd").symlink_to("/etc/shadow")  # a link is not followed out of the container
    execute(ws, "box", ExecRequest(("true",), user="app"), Attachment(streams))
    assert runtime.ran[-1].user.uid == 1000
    containers.kill(ws, "box")
    box.wait()


def test_logs_show_the_last_lines_and_their_times(ws: Workspace, streams: Streams) -> None:
    lines = ws.with_runtime(FakeRuntime({"lines": lambda root: "one\ntwo\nthree"}))
    run(lines, streams, "lines", name="box")
    assert b"".join(data for _, data in logs.logs(ws, "box")) == b"one\ntwo\nthree"
    assert b"".join(data for _, data in logs.logs(ws, "box", last=2)) == b"two\nthree"
    assert list(logs.logs(ws, "box", last=0)) == []
    stamped = b"".join(data for _, data in logs.logs(ws, "box", last=1, has_times=True))
    assert stamped.endswith(b"Z three")
    with pytest.raises(NoSuchContainer):
        list(logs.logs(ws, "nosuch"))


def test_an_image_of_equal_layers_is_no_ancestor(ws: Workspace, streams: Streams) -> None:
    import_base(ws, BASE, "twin:1")  # a second later, so its history is another one
    run(ws, streams, "change", name="box")
    commit(ws, CommitRequest("box", "made:1"))
    os.close(create(ws, RunRequest("made:1", ("true",), name="child"), no_warning).lock)

    def listed(image: str) -> list[str]:
        return [row.names[0] for row in container_list.list_containers(ws, [("ancestor", image)], includes_all=True)]

    assert [listed(image) for image in ("base:1", "made:1", "twin:1")] == [["child", "box"], ["child"], []]


@pytest.mark.parametrize("port", ["1-99999999999", "65536", "9-8", "80-", "x", "1" * 5000])
def test_a_filter_takes_ports_that_can_be_only(ws: Workspace, port: str) -> None:
    for name in ("expose", "publish"):
        with pytest.raises(InvalidRequest) as caught:
            container_list.list_containers(ws, [(name, port)])
        assert str(caught.value) == f"invalid port '{port}'"


@pytest.mark.parametrize(
    ("driver", "hint"),
    [
        ("none", None),
        ("", "with --rm in the foreground one is kept with --log-driver"),
        ("local", ""),
        ("json-file", ""),
    ],
)
def test_a_container_that_goes_with_its_end_keeps_a_log_if_asked_to(
    ws: Workspace, driver: str, hint: str | None
) -> None:
    os.close(make(ws, "true", name="box", auto_remove=True, lifecycle=LifeCycle(log_driver=driver)).lock)
    if hint == "":
        assert list(logs.logs(ws, "box")) == []
        return
    with pytest.raises(InvalidRequest) as caught:
        list(logs.logs(ws, "box"))
    assert (str(caught.value), caught.value.hint) == ("configured logging driver does not support reading", hint)


def test_a_line_stands_where_it_ended(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "true", name="box")
    entries = ("stdout F out", "stdout P par", "stderr F err", "stdout F ted", "stderr P open")
    log = "".join(f"2026-01-01T00:00:0{number}.000000000Z {entry}\n" for number, entry in enumerate(entries))
    Path(ws.store.containers.path(ws.store.containers.find("box").id, "log")).write_text(log)
    assert list(logs.logs(ws, "box", has_times=True)) == [
        ("stdout", b"2026-01-01T00:00:00.000000000Z out\n"),
        ("stderr", b"2026-01-01T00:00:02.000000000Z err\n"),
        ("stdout", b"2026-01-01T00:00:03.000000000Z parted\n"),
        ("stderr", b"2026-01-01T00:00:04.000000000Z open"),
    ]


def test_row_shows_the_id_once_the_name_belongs_to_another_image(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "true")
    assert container_list.list_containers(ws, includes_all=True)[0].image == "base:1"
    import_base(ws, root_tar([directory("other")]))
    image_id = ws.store.containers.list()[0].record.image_id
    assert container_list.list_containers(ws, includes_all=True)[0].image == str(image_id)


def test_inspect_tells_what_was_asked_for_and_what_became_of_it(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "fail", "x", name="box", mounts=(MountOption.parse("vol:/x:ro"),), labels={"k": "v"})
    found = inspect_container(ws, "box", has_sizes=True)
    assert (found["Name"], found["Path"], found["Args"]) == ("/box", "fail", ["x"])
    assert found["State"]["Status"] == "exited"
    assert found["State"]["ExitCode"] == 3
    assert found["HostConfig"]["Binds"] == ["vol:/x:ro"]
    assert found["Mounts"] == [
        {
            "Type": "volume",
            "Name": "vol",
            "Source": ws.store.volumes.data("vol"),
            "Destination": "/x",
            "Driver": "local",
            "Mode": "ro",
            "RW": False,
            "Propagation": "",
        }
    ]
    assert found["Config"]["Labels"] == {"k": "v"}
    assert (found["SizeRw"], found["SizeRootFs"]) == (0, len(PASSWD) + len(b"one"))


def test_prune_removes_what_does_not_run_and_no_layer_of_a_listed_image(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "change", name="box")
    box = ws.store.containers.find("box")
    assert container_prune.prune(ws) == ((box.id,), 0)  # its image is listed: no layer was needed by it alone
    assert leftovers(ws) == []


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.CRASH_INSIDE])
def test_removal_that_dies_anywhere_is_finished_by_the_next(tmp_path: Path, fault: Fault, streams: Streams) -> None:
    number = 0
    while True:
        number += 1
        ws = workspace(tmp_path / str(number), FakeRuntime(PROGRAMS))
        import_base(ws, BASE)
        run(ws, streams, "change", name="box", mounts=(MountOption("", "/y"), MountOption("vol", "/x")))
        dying = workspace(tmp_path / str(number), FakeRuntime(PROGRAMS), FaultyDisk(number, fault))
        try:
            container_removal.remove(dying, "box", removes_volumes=True)
        except Crash:
            left = [item for item in ws.store.containers.list() if item.record.name == "box"]
            if left and left[0].state.status is not ContainerState.REMOVING:
                container_removal.remove(ws, "box", removes_volumes=True)
            run(ws, streams, "true", name="box", auto_remove=True)
            assert leftovers(ws) == ["volumes/vol"], number
            continue
        assert number > 10
        return


def test_full_disk_does_not_keep_a_container_from_being_removed(
    ws: Workspace, streams: Streams, tmp_path: Path
) -> None:
    run(ws, streams, "change", name="box", mounts=(MountOption("", "/y"),))

    class FullDisk(FaultyDisk):
        """Refuses to write anything into the container's directory."""

        def open_new(self, path: str, mode: int = 0o600) -> int:
            if "/containers/" in path:
                raise OSError(28, os.strerror(28))
            return super().open_new(path, mode)

    container_removal.remove(workspace(tmp_path / "store", disk=FullDisk()), "box", removes_volumes=True)
    assert leftovers(ws) == []


def mounts_of(ws: Workspace, *args: str, **fields: Any) -> tuple[Mount, ...]:
    created = make(ws, "true", *args, **fields)
    os.close(created.lock)
    return process_spec(ws, created).mounts


def test_mounts_of_another_container_come_along_unless_something_else_is_there(ws: Workspace, tmp_path: Path) -> None:
    options = ("vol:/x", f"{tmp_path}:/y:ro", "other:/z:nocopy")
    given = (*(MountOption.parse(text) for text in options), MountOption.parse_tmpfs("/t"))
    os.close(make(ws, "true", name="box", mounts=given).lock)
    data = ws.store.volumes.data
    assert mounts_of(ws, volumes_from=("box",), mounts=(MountOption.parse("mine:/z"),)) == (
        Mount(data("vol"), "/x"),
        Mount(str(tmp_path), "/y", is_read_only=True),
        Mount(data("mine"), "/z"),
    )
    found = mounts_of(ws, volumes_from=("box:ro",))
    assert [(mount.target, mount.is_read_only) for mount in found] == [("/x", True), ("/y", True), ("/z", True)]
    with pytest.raises(NoSuchContainer):
        make(ws, "true", volumes_from=("nosuch",))


def test_a_tmpfs_goes_before_a_volume_of_the_image(ws: Workspace, tmp_path: Path) -> None:
    write_context(tmp_path / "context", {"Dockerfile": "FROM base:1\nVOLUME /srv/data /other\n"})
    run_build(ws, tmp_path / "context", tags=("app:1",))
    created = create(ws, RunRequest("app:1", ("true",), mounts=(MountOption.parse_tmpfs("/srv/data:size=1m"),)), print)
    os.close(created.lock)
    (other, tmpfs) = process_spec(ws, created).mounts
    assert tmpfs == Mount("", "/srv/data", type=MountType.TMPFS, options=("size=1m",))
    assert (other.target, len(created.record.volumes)) == ("/other", 1)


def test_a_directory_of_the_host_that_cannot_be_made_is_named(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = f"{tmp_path}/file/sub"
    with pytest.raises(InvalidRequest) as caught:
        make(ws, "true", mounts=(MountOption.parse(f"{path}:/mnt"),))
    assert str(caught.value) == f"error while creating mount source path '{path}': mkdir {path}: not a directory"
    assert leftovers(ws) == []


def test_a_missing_directory_is_made_for_the_short_option_only(ws: Workspace, tmp_path: Path) -> None:
    made, missing = tmp_path / "made", tmp_path / "missing"
    mounts_of(ws, mounts=(MountOption.parse(f"{made}:/x"),))
    assert made.is_dir()
    with pytest.raises(InvalidRequest) as caught:
        make(ws, "true", mounts=(parse_mount(f"type=bind,src={missing},dst=/x").checked(),))
    assert str(caught.value) == (f'invalid mount config for type "bind": bind source path does not exist: {missing}')
    assert not missing.exists()


def test_content_is_copied_into_a_new_volume_unless_that_is_not_wanted(ws: Workspace) -> None:
    texts = ("src=filled,dst=/data", "src=empty,dst=/srv,volume-nocopy", "src=part,dst=/srv/data,volume-subpath=x")
    created = make(ws, "true", mounts=tuple(parse_mount(text).checked() for text in texts))
    os.close(created.lock)
    contents = {name: os.listdir(ws.store.volumes.data(name)) for name in ("filled", "empty", "part")}
    assert {name: sorted(content) for name, content in contents.items()} == {
        "filled": ["one", "same"],
        "empty": [],
        "part": [],
    }


def test_volumes_with_driver_options_are_what_these_say(ws: Workspace, tmp_path: Path) -> None:
    volumes.create(ws, "ram", {}, {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=5"})
    volumes.create(ws, "elsewhere", {}, {"type": "none", "device": str(tmp_path), "o": "bind,ro"})
    assert mounts_of(ws, mounts=(MountOption("ram", "/data"), MountOption("elsewhere", "/y"))) == (
        Mount("", "/data", type=MountType.TMPFS, options=("exec", "suid", "size=1m", "uid=5")),
        Mount(str(tmp_path), "/y", is_read_only=True),
    )
    assert os.listdir(ws.store.volumes.data("ram")) == []
    assert volumes.inspect(ws, "ram")["Options"] == {"device": "tmpfs", "o": "size=1m,uid=5", "type": "tmpfs"}


def test_inspect_tells_long_and_short_mounts_apart(ws: Workspace, tmp_path: Path) -> None:
    given = (
        MountOption.parse(f"{tmp_path}:/a:ro,rslave"),
        parse_mount("src=vol,dst=/b,volume-nocopy,volume-label=k=v").checked(),
        MountOption.parse_tmpfs("/c:size=1m"),
        parse_mount(f"type=bind,src={tmp_path},dst=/d,ro").checked(),
    )
    os.close(make(ws, "true", name="box", mounts=given).lock)
    found = inspect_container(ws, "box")
    host = found["HostConfig"]
    assert (host["Binds"], host["Tmpfs"]) == ([f"{tmp_path}:/a:ro,rslave"], {"/c": "size=1m"})
    assert host["Mounts"] == [
        {"Type": "volume", "Source": "vol", "Target": "/b", "VolumeOptions": {"NoCopy": True, "Labels": {"k": "v"}}},
        {"Type": "bind", "Source": str(tmp_path), "Target": "/d", "ReadOnly": True},
    ]
    assert [(item["Type"], item["Mode"], item["RW"], item["Propagation"]) for item in found["Mounts"]] == [
        ("bind", "ro,rslave", False, "rslave"),
        ("volume", "", True, ""),
        ("bind", "", False, "rprivate"),
    ]  # what --tmpfs asked for docker tells in HostConfig only
    assert volumes.inspect(ws, "vol")["Labels"] == {"k": "v"}
