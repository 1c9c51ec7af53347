"""Limits of real containers, with control groups where this user has them and with substitutes where not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.cgroups import CPU, FREEZER, MEMORY, PIDS
from minidock.core.networking import Networking, NetworkKind
from minidock.core.process import ProcessSpec
from minidock.core.resources import Resources, Ulimit
from minidock.errors import RuntimeProblem
from minidock.runtime import halting
from minidock.runtime.base import Handle, IdMode, ProcessIO, RuntimeReport
from minidock.runtime.cgroups import Cgroups
from minidock.runtime.native import NativeRuntime
from minidock.runtime.oci import OciRuntime
from tests.runtime.contract import NOTHING
from tests.runtime.machine import Containers, finish

MIB = 1 << 20
FORK_MANY = "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2 & done; wait; echo all"
FILL_MEMORY = "x=0123456789abcdef; while true; do x=$x$x; done"


@pytest.fixture
def groups() -> Iterator[Cgroups]:
    """Control groups of this user, and afterwards a check that none of ours is left."""
    found = Cgroups()
    yield found
    found.sweep(lambda name: False)
    assert [path for path in found.possible(f"box-{os.getpid()}") if os.path.exists(path)] == []


def needs(groups: Cgroups, *controllers: str) -> None:
    missing = set(controllers) - groups.bases().keys()
    if missing:
        pytest.skip(f"this user has no control group for {', '.join(sorted(missing))}")


def mark_of(spec: ProcessSpec) -> Path:
    return Path(spec.rootfs.copied or spec.rootfs.upper).with_name("oom-killed")


def test_memory_that_runs_out_ends_the_process_and_leaves_a_mark(groups: Cgroups, box: Containers) -> None:
    needs(groups, MEMORY)
    spec = box.shell(FILL_MEMORY, resources=Resources(memory=20 * MIB, memory_swap=20 * MIB))
    assert box.run(spec)[0] == 137
    assert mark_of(spec).exists()


@pytest.mark.parametrize("kind", [NetworkKind.HOST, NetworkKind.NONE])
def test_a_container_reads_its_own_limits_and_no_other_groups(
    groups: Cgroups, isolated: Containers, runtime: NativeRuntime, kind: NetworkKind
) -> None:
    needs(groups, MEMORY)
    if isinstance(runtime, OciRuntime):
        pytest.skip("crun and runc are not told to show the groups")
    script = (
        "cd /sys/fs/cgroup; exec 2>/dev/null; cat memory/memory.limit_in_bytes || cat memory.max;"
        " ls -d memory/*/; touch memory/x && echo writable; touch x && echo writable"
    )
    spec = isolated.shell(script, resources=Resources(memory=64 * MIB), networking=Networking(kind))
    assert isolated.run(spec)[1] == f"{64 * MIB}\n"


@pytest.mark.parametrize("kind", [NetworkKind.HOST, NetworkKind.NONE])
def test_version_2_is_seen_from_the_container_s_group_on(
    isolated: Containers, runtime: NativeRuntime, kind: NetworkKind
) -> None:
    top, own = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].strip()
    if isinstance(runtime, OciRuntime) or not (top / "cgroup.controllers").exists() or not own:
        pytest.skip("needs a machine with version 2 alone, and to be in a group of it")
    text = isolated.run(isolated.shell(f"ls -d {top}/*/ 2>/dev/null", networking=Networking(kind)))[1]
    assert {Path(line).name for line in text.splitlines()} == {
        path.name for path in (top / own).iterdir() if path.is_dir()
    }


def test_a_container_within_its_memory_leaves_no_mark(groups: Cgroups, box: Containers) -> None:
    spec = box.shell("exit 3", resources=Resources(memory=20 * MIB))
    assert box.run(spec)[0] == 3
    assert not mark_of(spec).exists()


def test_processes_are_counted(groups: Cgroups, box: Containers, report: RuntimeReport) -> None:
    if report.id_mode is not IdMode.SINGLE:
        needs(groups, PIDS)
    code, text = box.run(box.shell(FORK_MANY, resources=Resources(pids=5)))
    assert (code, "Cannot fork" in text) == (2, True)
    assert box.run(box.shell(FORK_MANY, resources=Resources(pids=30)))[1] == "all\n"


def test_processor_time_is_limited(groups: Cgroups, box: Containers, runtime: NativeRuntime) -> None:
    needs(groups, CPU)
    handle = runtime.start(box.shell("while true; do :; done", resources=Resources(nano_cpus=10**8)), NOTHING)
    before = runtime.sample(handle.started).cpu_time
    time.sleep(1)
    used = runtime.sample(handle.started).cpu_time - before
    handle.kill(9)
    handle.wait()
    assert used < 0.4


def test_a_process_that_joins_is_in_the_same_groups(groups: Cgroups, box: Containers, runtime: NativeRuntime) -> None:
    needs(groups, PIDS)
    wanted = Resources(pids=20)  # crun and runc count while they start the process
    handle = runtime.start(box.spec("sleep", "100", resources=wanted), NOTHING)
    read_end, write_end = os.pipe()
    io = ProcessIO(None, write_end, write_end)
    script = FORK_MANY.replace("9", "9 10 11 12 13 14 15 16 17 18 19 20 21 22")
    joined = runtime.exec(handle.started, box.shell(script, resources=wanted), io)
    os.close(write_end)
    code, text = finish(joined, read_end)
    handle.kill(9)
    handle.wait()
    assert (code, "Cannot fork" in text) == (2, True)


@pytest.fixture
def busy(box: Containers, runtime: NativeRuntime) -> Iterator[tuple[Handle, Path]]:
    """A container whose processes come and go, and write into a file without an end."""
    spec = box.shell("while true; do (echo x >>/out; true); done", resources=Resources())
    handle = runtime.start(spec, NOTHING)
    out = Path(spec.rootfs.copied or spec.rootfs.upper) / "out"
    while not out.exists():
        time.sleep(0.01)
    yield handle, out
    handle.kill(9)
    handle.wait()


def test_a_paused_container_does_nothing_until_it_goes_on(
    groups: Cgroups, box: Containers, busy: tuple[Handle, Path], runtime: NativeRuntime
) -> None:
    handle, out = busy
    for _ in range(3):
        runtime.pause(handle.started, box.name)
        before = out.stat().st_size
        time.sleep(0.1)
        assert out.stat().st_size == before
        runtime.resume(handle.started)
        while out.stat().st_size == before:
            time.sleep(0.01)


def test_a_paused_container_ends_with_its_monitor(groups: Cgroups, box: Containers, runtime: NativeRuntime) -> None:
    handle = runtime.start(box.spec("sleep", "100"), NOTHING)
    runtime.pause(handle.started, box.name)
    handle._stub.end()
    assert not runtime.is_running(handle.started)


def test_limits_of_a_running_container_are_changed(
    groups: Cgroups, box: Containers, busy: tuple[Handle, Path], runtime: NativeRuntime
) -> None:
    started = busy[0].started
    wanted = Resources(memory=64 * MIB, pids=20)
    if {MEMORY, PIDS} - groups.bases().keys():
        with pytest.raises(RuntimeProblem, match="no control group can be used for memory, pids"):
            runtime.limit(started, box.name, wanted)
        return
    runtime.limit(started, box.name, wanted)
    found = groups.of(started.pid)
    inside = {int(pid) for pid in Path(found[PIDS], "cgroup.procs").read_text().split()}
    assert started.pid in inside
    assert runtime.sample(started).memory_limit == 64 * MIB
    runtime.limit(started, box.name, replace(wanted, memory=32 * MIB, memory_swap=40 * MIB))
    runtime.limit(started, box.name, replace(wanted, memory=128 * MIB, memory_swap=256 * MIB))
    assert runtime.sample(started).memory_limit == 128 * MIB


def test_what_a_container_uses_is_measured(groups: Cgroups, busy: tuple[Handle, Path], runtime: NativeRuntime) -> None:
    started = busy[0].started
    before = runtime.sample(started)
    time.sleep(0.5)
    after = runtime.sample(started)
    assert 0 < after.memory < after.memory_limit
    assert after.cpu_time > before.cpu_time
    assert after.machine_time > before.machine_time
    assert 1 <= after.pids <= 3


def test_all_processes_of_a_container_are_found(groups: Cgroups, box: Containers, runtime: NativeRuntime) -> None:
    handle = runtime.start(box.shell("sleep 100 & sleep 100 & wait"), NOTHING)
    joined = runtime.exec(handle.started, box.spec("sleep", "100"), NOTHING)
    until = time.monotonic() + 5
    while len(found := runtime.processes(handle.started)) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    expected = 4 if joined.started.pid in found else 3  # without namespaces nothing tells that one has joined
    assert len(found) == expected
    assert handle.started.pid in found
    handle.kill(9)
    handle.wait()
    joined.kill(9)
    joined.wait()
    assert runtime.processes(handle.started) == ()


def test_resource_limits_and_shared_memory(box: Containers, isolated: Containers) -> None:
    resources = Resources(ulimits=(Ulimit("nofile", 100, 200), Ulimit("core", 0, 0)), shm_size=MIB)
    text = box.output("ulimit -n; ulimit -Hn; ulimit -c; stat -f -c %b:%S /dev/shm", resources=resources)
    assert text == f"100\n200\n0\n{MIB // 4096}:4096\n"


def test_a_limit_beyond_ones_own_is_refused_in_dockers_words(box: Containers, isolated: Containers) -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard + 1))
    except (ValueError, PermissionError):
        spec = box.spec("true", resources=Resources(ulimits=(Ulimit("nofile", 100, hard + 1),)))
        with pytest.raises(RuntimeProblem, match=r"(?i)rlimit.*: operation not permitted"):
            box.runtime.start(spec, NOTHING)
    else:
        pytest.skip("this user may raise every limit")


def test_what_cannot_be_kept_is_said(groups: Cgroups, runtime: NativeRuntime) -> None:
    phrases = runtime.shortcomings(Resources(memory=64 * MIB))
    if MEMORY in groups.bases():
        assert phrases == ()
    else:
        assert phrases[0] == "--memory holds for each process by itself, and not for shared memory"
        assert phrases[-1] == "no control group can be used for memory (see `minidock doctor`)"
    assert runtime.shortcomings(Resources(ulimits=(Ulimit("core", 0, 0),))) == ()


def test_memory_of_a_single_process_is_limited_without_groups(groups: Cgroups, box: Containers) -> None:
    if MEMORY in groups.bases():
        pytest.skip("here the control group limits it")
    code, _ = box.run(box.shell(FILL_MEMORY, resources=Resources(memory=20 * MIB)))
    assert code not in (0, 137)


def process_state(pid: int) -> str:
    """Return the letter of a process's state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def only_version_2(path: str) -> str:
    """Return what /proc would say on a machine without trees of version 1."""
    text = Path(path).read_text()
    if path.endswith("mountinfo"):
        return "".join(line for line in text.splitlines(keepends=True) if " - cgroup2 " in line)
    return text


def test_version_2_freezes_a_group_even_without_controllers(
    box: Containers, busy: tuple[Handle, Path], runtime: NativeRuntime
) -> None:
    found = Cgroups(only_version_2)
    needs(found, FREEZER)
    handle, out = busy
    halting.pause(found, handle.started, box.name)
    (directory,) = set(found.of(handle.started.pid).values())
    assert Path(directory, "cgroup.freeze").read_text() == "1\n"
    # A child that ended just before has left its group, and nobody reaps it while its parent is frozen.
    alive = {pid for pid in runtime.processes(handle.started) if process_state(pid) != "Z"}
    assert {int(pid) for pid in Path(directory, "cgroup.procs").read_text().split()} == alive
    before = out.stat().st_size
    time.sleep(0.1)
    assert out.stat().st_size == before
    halting.resume(found, handle.started)
    while out.stat().st_size == before:
        time.sleep(0.01)
    handle.kill(9)
    handle.wait()
    found.sweep(lambda name: name == box.name)
    assert not os.path.exists(directory)
