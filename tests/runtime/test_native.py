"""The native runtime, with whatever isolation this user has; `test_other_users` runs this file as others."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.networking import Networking, NetworkKind
from minidock.core.process import Mount, ProcessSpec, User
from minidock.errors import CommandNotExecutable, CommandNotFound, RuntimeProblem
from minidock.runtime import interpreter
from minidock.runtime.base import IdMode, Isolation, ProcessIO, RuntimeReport
from minidock.runtime.monitor import stat_fields
from tests.runtime.contract import NOTHING, RuntimeContract
from tests.runtime.machine import Containers, changes, finish

DEFAULT_CAPABILITIES = "00000000a80425fb"


class TestNativeRuntime(RuntimeContract):
    @pytest.fixture(autouse=True)
    def _box(self, box: Containers) -> None:
        self.box = box

    def spec(self, name: str) -> ProcessSpec:
        return {
            "succeed": lambda: self.box.spec("true"),
            "fail": lambda: self.box.shell("exit 3"),
            "print": lambda: self.box.shell("echo hello"),
            "write": lambda: self.box.shell("echo content >/made"),
            "stay": lambda: self.box.spec("sleep", "1000"),
            "missing": lambda: self.box.spec("no-such-program"),
        }[name]()


def test_the_process_gets_its_environment_and_no_more(box: Containers, report: RuntimeReport) -> None:
    added = ["APT_CONFIG=/dev/.apt.conf"] if report.id_mode is IdMode.SINGLE else []
    added += [] if box.runtime.name == "native" else ["HOME=/root"]  # OCI runtimes add it where it is missing
    code, text = box.run(box.spec("env"))
    assert (code, sorted(text.split())) == (0, sorted([*box.spec("x").env, *added]))


def test_standard_input_is_passed_through(box: Containers) -> None:
    assert box.run(box.spec("cat"), stdin=b"some\0bytes") == (0, "some\0bytes")


def test_the_working_directory_is_made(box: Containers) -> None:
    assert box.output("pwd; stat -c %a /srv/app", cwd="/srv/app") == "/srv/app\n755\n"


def test_a_working_directory_that_is_a_file_is_an_error_of_the_launch(box: Containers) -> None:
    with pytest.raises(RuntimeProblem) as caught:
        box.run(box.shell("true", cwd="/etc/passwd/x"))
    assert (str(caught.value), caught.value.exit_code) == ("mkdir /etc/passwd/x: not a directory", 125)


def test_the_umask_is_the_usual_one(box: Containers) -> None:
    before = os.umask(0o077)
    try:
        assert box.output("umask") == "0022\n"
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 255", 255), ("kill -KILL $$; exit 1", None), ("exec 2>&-; sh -c 'kill -KILL $$'", 137)],
)
def test_exit_codes(box: Containers, report: RuntimeReport, script: str, code: int | None) -> None:
    # The first process of a PID namespace cannot kill itself.
    expected = code if code is not None else (1 if report.isolation is Isolation.NAMESPACES else 137)
    assert box.run(box.shell(script)) == (expected, "")


def test_programs_that_cannot_be_executed_are_126(box: Containers) -> None:
    for program, reason in (("/etc/passwd", "permission denied"), ("/tmp", "is a directory: permission denied")):
        with pytest.raises(CommandNotExecutable) as caught:
            box.run(box.spec(program))
        assert (str(caught.value), caught.value.exit_code) == (f'exec: "{program}": {reason}', 126)


def test_a_file_that_is_no_program_is_126(box: Containers, tmp_path: Path) -> None:
    spec = box.spec("/bin/odd")
    receiver = Path(spec.rootfs.copied or spec.rootfs.upper)
    (receiver / "bin").mkdir(exist_ok=True)
    (receiver / "bin/odd").write_bytes(b"neither ELF nor script")
    (receiver / "bin/odd").chmod(0o755)
    with pytest.raises(CommandNotExecutable, match="exec format error"):
        box.run(spec)


def test_a_path_that_does_not_exist_is_127(box: Containers) -> None:
    with pytest.raises(CommandNotFound) as caught:
        box.run(box.spec("/bin/none"))
    assert str(caught.value) == 'exec: "/bin/none": stat /bin/none: no such file or directory'


def test_a_missing_interpreter_is_127_and_said(box: Containers) -> None:
    spec = box.spec("/script")
    receiver = Path(spec.rootfs.copied or spec.rootfs.upper)
    (receiver / "script").write_text("#!/bin/no-such-shell\n")
    (receiver / "script").chmod(0o755)
    with pytest.raises(CommandNotFound) as caught:
        box.run(spec)
    assert str(caught.value) == 'exec: "/script": no such file or directory (its interpreter is missing)'


def test_no_descriptor_of_the_caller_reaches_the_process(box: Containers) -> None:
    leaked = os.open("/", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        shown = box.output("for fd in 0 1 2 3 4 5 6 7 8 9; do if true <&$fd; then echo $fd; fi; done 2>/dev/null")
        high = box.run(box.shell(f"true <&{leaked}" if leaked < 10 else "exit 2"))[0]
    finally:
        os.close(leaked)
    assert shown.split() == ["0", "1", "2"]
    assert high == 2


def test_no_signal_is_ignored_or_blocked(isolated: Containers) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code, text = isolated.run(isolated.spec("cat", "/proc/self/status"))
    finally:
        signal.signal(signal.SIGHUP, before)
    status = dict(line.split(":\t", 1) for line in text.splitlines())
    assert code == 0
    assert {status[name] for name in ("SigIgn", "SigBlk")} == {"0" * 16}


def test_capabilities_are_dockers_default_ones(isolated: Containers, report: RuntimeReport) -> None:
    status = dict(line.split(":\t", 1) for line in isolated.output("cat /proc/self/status").splitlines())
    found = [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")]
    default = DEFAULT_CAPABILITIES
    # What makes a single id look like root makes capset succeed without effect: OCI runtimes have to load it last.
    no_new_privileges = "1" if isolated.runtime.name != "native" and report.id_mode is IdMode.SINGLE else "0"
    assert found == ["0" * 16, default, default, default, "0" * 16, no_new_privileges]


@pytest.fixture
def with_users(isolated: Containers, report: RuntimeReport) -> Containers:
    if isolated.runtime.name != "native" and report.id_mode is IdMode.SINGLE:
        pytest.skip("OCI runtimes need the id 0; a single id cannot be another user then")
    return isolated


def test_another_user_has_no_capabilities(with_users: Containers) -> None:
    user = User(uid=1000, gid=1001)
    assert with_users.output("id -u; id -g", user=user) == "1000\n1001\n"
    status = with_users.output("cat /proc/self/status", user=user)
    assert [line.split()[1] for line in status.splitlines() if line.startswith(("CapPrm", "CapEff"))] == ["0" * 16] * 2


def test_supplementary_groups_are_those_of_the_spec(box: Containers, report: RuntimeReport) -> None:
    if report.id_mode is IdMode.SINGLE:
        pytest.skip("a single id has no other groups")
    assert box.output("id -G", user=User(uid=7, gid=8, groups=(9, 10))) == "8 9 10\n"
    assert box.output("id -G") == "0\n"


def test_a_user_can_write_to_its_standard_output_by_name(with_users: Containers) -> None:
    assert with_users.output("echo again >/dev/stdout", user=User(uid=1000, gid=1000)) == "again\n"


def test_the_host_is_out_of_sight(isolated: Containers) -> None:
    listing = isolated.output("ls /").split()
    assert set(listing) - {"lib", "lib32", "lib64", "libx32", "usr"} == {"bin", "dev", "etc", "proc", "sys", "tmp"}
    processes = [name for name in isolated.output("ls /proc").split() if name.isdigit()]
    assert len(processes) == 2  # the shell and ls
    assert processes[0] == "1"
    mounts = [line.split()[:4] for line in isolated.output("cat /proc/mounts").splitlines()]
    assert [(place, "nodev" in options.split(",")) for _, place, _, options in mounts if place == "/"] == [("/", True)]
    top = {"dev", "etc", "proc", "sys"}
    assert {place.split("/")[1] for _, place, _, _ in mounts if place != "/"} == top


def test_the_kernel_is_covered_and_read_only(isolated: Containers) -> None:
    script = """
    for path in /proc/sys/kernel/hostname /sys/kernel/uevent_helper /proc/sysrq-trigger; do
        if (echo x >$path) 2>/dev/null; then echo writable $path; fi
    done
    cat /proc/keys /proc/timer_list; ls /proc/acpi /sys/firmware 2>/dev/null
    true
    """
    _, text = isolated.run(isolated.shell(script))
    assert [line for line in text.splitlines() if line and not line.endswith(":")] == []


def test_the_devices_are_there_and_work(isolated: Containers) -> None:
    shown = isolated.output("ls /dev; echo gone >/dev/null; stat -L -c %t,%T /dev/null; stat -c %a /dev/shm")
    names, numbers = shown.split()[:-2], shown.split()[-2:]
    assert set(names) == {
        *("fd", "full", "mqueue", "null", "ptmx", "pts", "random"),
        *("shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"),
        *(("core",) if os.path.exists("/proc/kcore") else ()),
    }
    assert numbers == ["1,3", "1777"]


def test_a_device_that_the_container_makes_does_not_open(isolated: Containers, report: RuntimeReport) -> None:
    code, text = isolated.run(isolated.shell("mknod /tmp/zero c 1 5 && cat /tmp/zero"))
    if report.id_mode is IdMode.SINGLE:
        pytest.skip("mknod appears to succeed and makes nothing")
    refused = "cat: /tmp/zero: Permission denied\n"
    if report.id_mode is IdMode.RANGE:  # the kernel lets no user namespace make one
        refused = "mknod: /tmp/zero: Operation not permitted\n"
    assert (code, text) == (1, refused)


def test_host_name_and_addresses(isolated: Containers) -> None:
    shown = isolated.output(
        "cat /proc/sys/kernel/hostname /etc/hostname; cat /etc/hosts", hostname="box-1", is_build_step=False
    )
    assert shown.splitlines()[:2] == ["box-1", "box-1"]
    assert shown.splitlines()[-1] == "127.0.1.1\tbox-1"


def test_without_network_only_the_loopback_is_there(isolated: Containers) -> None:
    shown = isolated.output(
        "ls /sys/class/net; cat /sys/class/net/lo/flags", networking=Networking(NetworkKind.NONE, "none")
    )
    assert shown.split()[0] == "lo"
    assert int(shown.split()[-1], 16) & 1  # up


def test_volumes_are_shared_with_the_host(isolated: Containers, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").write_text("from outside\n")
    mounts = (
        Mount(str(tmp_path / "data"), "/srv/data"),
        Mount(str(tmp_path / "file"), "/etc/settings", is_read_only=True),
    )
    script = "cat /etc/settings; echo inside >/srv/data/new; (echo x >/etc/settings) 2>/dev/null || echo read-only"
    spec = isolated.shell(script, mounts=mounts)
    assert isolated.run(spec) == (0, "from outside\nread-only\n")
    assert (tmp_path / "data/new").read_text() == "inside\n"
    assert changes(spec) == []


def test_a_volume_stays_inside_when_the_image_has_links(isolated: Containers, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    spec = isolated.shell("ls /inner/sub; ls /etc/deep", mounts=(Mount(str(tmp_path / "data"), "/escape/sub"),))
    (tmp_path / "data/seen").touch()
    upper = Path(spec.rootfs.upper)
    (upper / "escape").symlink_to("/../../inner")
    (upper / "inner").mkdir()
    _, text = isolated.run(spec)
    assert text.splitlines()[0] == "seen"
    assert not Path("/inner").exists()
    assert changes(spec) == ["escape", "inner"]


def test_what_the_launcher_makes_is_no_change(layered: Containers, lower: Path) -> None:
    spec = layered.shell("true", hostname="box")
    upper = Path(spec.rootfs.upper)
    before = os.stat(upper).st_mtime_ns
    assert layered.run(spec) == (0, "")
    assert changes(spec) == []
    assert os.stat(upper).st_mtime_ns == before


def test_a_finished_container_can_be_removed(layered: Containers) -> None:
    spec = layered.shell("mkdir -m 000 /closed; rm /etc/passwd")
    assert layered.run(spec) == (0, "")
    assert os.listdir(spec.rootfs.work) == []


def test_changes_beside_the_mount_points_are_kept(layered: Containers, lower: Path) -> None:
    spec = layered.shell("touch /etc/mine; chmod 700 /proc /tmp; rm /bin/true", hostname="box")
    layered.run(spec)
    assert changes(spec) == ["bin", "bin/true", "etc", "etc/mine", "tmp"]
    spec = layered.shell("chmod 750 /etc", hostname="box")
    layered.run(spec)
    assert changes(spec) == ["etc"]


def test_a_read_only_root_cannot_be_written(isolated: Containers) -> None:
    spec = isolated.shell("touch /x")
    code, text = isolated.run(replace(spec, rootfs=replace(spec.rootfs, is_read_only=True)))
    assert (code, text) == (1, "touch: cannot touch '/x': Read-only file system\n")


def test_a_copied_root_file_system_is_changed_in_place(report: RuntimeReport, box: Containers, lower: Path) -> None:
    copies = Containers(box.runtime, lower, box.place_for("copies"), is_copied=True)
    spec = copies.shell("touch /new; rm /etc/passwd; echo x >/tmp/file", hostname="box")
    root = Path(spec.rootfs.copied or "")
    before = {path: (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in root.rglob("*")}
    assert copies.run(spec) == (0, "")
    after = {path: (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in root.rglob("*")}
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    assert sorted(str(path.relative_to(root)) for path in changed) == ["etc", "etc/passwd", "new", "tmp", "tmp/file"]


def test_an_unknown_volume_is_an_error_of_the_launch(isolated: Containers, tmp_path: Path) -> None:
    with pytest.raises(RuntimeProblem) as caught:
        isolated.run(isolated.shell("true", mounts=(Mount(str(tmp_path / "none"), "/x"),)))
    assert str(caught.value) == (
        f'invalid mount config for type "bind": bind source path does not exist: {tmp_path}/none'
    )


def test_the_first_process_ignores_term_and_dies_by_kill(isolated: Containers) -> None:
    for _ in range(5):  # once is luck: a signal must never reach what only prepares the process
        handle = isolated.runtime.start(isolated.spec("sleep", "1000"), NOTHING)
        handle.kill(signal.SIGTERM)
        time.sleep(0.05)
        assert isolated.runtime.is_running(handle.started)
        handle.kill(signal.SIGKILL)
        assert handle.wait() == 137


def test_everything_ends_with_the_first_process(box: Containers) -> None:
    read_end, write_end = os.pipe()
    script = "(sleep 1000; echo late) & (sh -c 'sleep 1000; echo later' &) ; exit 4"
    handle = box.runtime.start(box.shell(script), ProcessIO(stdout=write_end))
    os.close(write_end)
    assert finish(handle, read_end) == (4, "")  # the end of the pipe: nobody holds it any more


def test_an_init_looks_after_orphans_whatever_isolates_it(box: Containers) -> None:
    if box.runtime.name != "native":
        pytest.skip("OCI runtimes have no such process")
    script = "trap 'exit 9' TERM; (sleep 0.1 &); (sleep 0.1 &); sleep 0.5; touch /ready; while :; do sleep 0.05; done"
    spec = box.shell(script, has_init=True)
    ready = Path(spec.rootfs.copied or spec.rootfs.upper, "ready")
    handle = box.runtime.start(spec, NOTHING)
    while not ready.exists():
        time.sleep(0.01)
    pid = handle.started.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    names = [Path(f"/proc/{process}/comm").read_text() for process in (pid, *found)]
    handle.kill(signal.SIGTERM)
    assert (names, handle.wait()) == (["minidock-init\n", "sh\n"], 9)


def test_a_container_dies_with_the_program_that_started_it(box: Containers) -> None:
    pipe_read, pipe_write = os.pipe()
    spec = box.spec("sleep", "1000")
    pid = os.fork()
    if pid == 0:
        handle = box.runtime.start(spec, NOTHING)
        os.write(pipe_write, f"{handle.started.pid}\n".encode())
        os._exit(0)
    os.close(pipe_write)
    with os.fdopen(pipe_read) as file:
        first = int(file.readline())
    os.waitpid(pid, 0)
    assert ends(first)


def test_a_container_dies_with_its_monitor(box: Containers) -> None:
    handle = box.runtime.start(box.spec("sleep", "1000"), NOTHING)
    os.kill(parent_of(handle.started.pid), signal.SIGKILL)
    assert handle.wait() == 137
    assert ends(handle.started.pid)


def ends(pid: int) -> bool:
    """Whether a process ends within five seconds; one that waits to be reaped has."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if stat_fields(pid)[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def parent_of(pid: int) -> int:
    return int(stat_fields(pid)[1])


def test_a_joined_process_shares_files_and_processes(box: Containers) -> None:
    handle = box.runtime.start(box.shell("echo here >/tmp/note; exec sleep 1000"), NOTHING)
    read_end, write_end = os.pipe()
    script = "until test -s /tmp/note; do true; done; cat /tmp/note; id -u; pwd; exit 9"
    joined = box.runtime.exec(handle.started, box.shell(script, cwd="/tmp"), ProcessIO(stdout=write_end))
    os.close(write_end)
    assert finish(joined, read_end) == (9, "here\n0\n/tmp\n")
    handle.kill(9)
    assert handle.wait() == 137


def test_a_process_can_join_the_container_of_another_user(with_users: Containers) -> None:
    handle = with_users.runtime.start(with_users.spec("sleep", "1000", user=User(uid=1000, gid=1000)), NOTHING)
    for user in (User(), User(uid=77, gid=78)):
        read_end, write_end = os.pipe()
        spec = with_users.shell("id -u; id -g", user=user)
        joined = with_users.runtime.exec(handle.started, spec, ProcessIO(stdout=write_end))
        os.close(write_end)
        assert finish(joined, read_end) == (0, f"{user.uid}\n{user.gid}\n")
    handle.kill(9)
    handle.wait()


def test_a_joined_process_ends_with_the_container(box: Containers) -> None:
    handle = box.runtime.start(box.spec("sleep", "1000"), NOTHING)
    joined = box.runtime.exec(handle.started, box.spec("sleep", "1000"), NOTHING)
    handle.kill(9)
    assert (handle.wait(), joined.wait()) == (137, 137)


def test_a_terminal_controls_the_process(box: Containers) -> None:
    ends: list[int] = []
    spec = box.shell("test -t 0 && echo ready; read line; echo got $line; sleep 1000", has_terminal=True)
    handle = box.runtime.start(spec, ProcessIO(on_terminal=ends.append))
    (master,) = ends
    shown = b""
    while b"ready" not in shown:
        shown += os.read(master, 1000)
    os.write(master, b"words\n")
    while b"got words" not in shown:
        shown += os.read(master, 1000)
    os.write(master, b"\x03")  # Ctrl-C
    handle.kill(9)
    assert handle.wait() in (130, 137)
    os.close(master)


def test_processes_start_from_several_threads_at_once(box: Containers) -> None:
    specs = [box.shell(f"exit {number}") for number in range(1, 9)]
    codes: dict[int, int] = {}

    def run(number: int, spec: ProcessSpec) -> None:
        codes[number] = box.runtime.start(spec, NOTHING).wait()

    threads = [threading.Thread(target=run, args=(number, spec)) for number, spec in enumerate(specs, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {number: number for number in range(1, 9)}


def test_foreign_owners_appear_to_be_set_with_a_single_id(box: Containers, report: RuntimeReport) -> None:
    code, text = box.run(box.shell("touch /tmp/x; chown 5:6 /tmp/x; stat -c %u:%g /tmp/x"))
    assert (code, text) == (0, "0:0\n" if report.id_mode is IdMode.SINGLE else "5:6\n")


def test_the_binary_of_the_launcher_cannot_be_overwritten(isolated: Containers, report: RuntimeReport) -> None:
    if report.id_mode is IdMode.SINGLE:
        pytest.skip("the file belongs to nobody who is mapped")
    handle = isolated.runtime.start(isolated.spec("sleep", "1000"), NOTHING)
    monitor = parent_of(handle.started.pid)
    # What a process inside would reach through /proc/self/exe, had it got hold of it.
    exe = os.open(f"/proc/{monitor}/exe", os.O_RDONLY)
    if not interpreter.is_writable():  # it belongs to nobody who is mapped
        with pytest.raises(PermissionError):
            os.open(f"/proc/{monitor}/exe", os.O_WRONLY)
    elif os.readlink(f"/proc/{monitor}/exe").startswith("/memfd:"):
        assert fcntl.fcntl(exe, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
    else:
        assert os.fstatvfs(exe).f_flag & os.ST_RDONLY
    os.close(exe)
    handle.kill(9)
    handle.wait()


def test_whoever_of_the_guards_is_killed_nothing_of_a_changed_root_stays(
    report: RuntimeReport, box: Containers, lower: Path
) -> None:
    if report.isolation is not Isolation.CHROOT:
        pytest.skip("a PID namespace ends with its first process")
    for victim in ("outer", "inner"):
        spec = box.shell("(sh -c 'exec sleep 1001' &) ; touch /ready; exec sleep 1002")
        root = Path(spec.rootfs.copied or "")
        before = sorted(path.name for path in (root / "etc").iterdir())
        handle = box.runtime.start(spec, NOTHING)
        while not (root / "ready").exists():
            time.sleep(0.01)
        inner = int(stat_fields(handle.started.pid)[1])
        outer = int(stat_fields(inner)[1])
        os.kill(outer if victim == "outer" else inner, signal.SIGKILL)
        assert handle.wait() == 137
        deadline = time.monotonic() + 5
        while _with_root(root) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _with_root(root) == []
        while sorted(path.name for path in (root / "etc").iterdir()) != before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sorted(path.name for path in (root / "etc").iterdir()) == before


def _with_root(root: Path) -> list[str]:
    """Return the processes whose root directory this is."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.readlink(f"/proc/{name}/root") == str(root):
                found.append(name)
        except OSError:
            continue
    return found
