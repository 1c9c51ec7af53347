"""Limits, pausing and figures of containers whose programs are Python functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from minidock.core.lifecycle import RestartMode, RestartPolicy
from minidock.core.resources import Resources, Ulimit
from minidock.core.stats import Sample
from minidock.core.summary import ContainerState
from minidock.engine import container_list, container_removal, containers, pausing
from minidock.engine.attend import Streams
from minidock.engine.build import build
from minidock.engine.client import Attachment
from minidock.engine.container_inspect import inspect_container
from minidock.engine.exec import ExecRequest, execute
from minidock.engine.preparing import BuildRequest
from minidock.engine.run import process_spec
from minidock.engine.stats import watch
from minidock.engine.supervise import run_attached
from minidock.engine.top import top
from minidock.engine.update import update
from minidock.engine.workspace import Workspace
from minidock.errors import (
    ContainerNotRunning,
    InvalidRequest,
    InvalidState,
    MinidockError,
    NoSuchContainer,
    RuntimeProblem,
)
from minidock.runtime.fake import FakeRuntime
from minidock.store.event_log import EventReader
from tests.engine.building import import_base, workspace
from tests.engine.test_containers import BASE, PROGRAMS, Running, leftovers, make, run

MIB = 1 << 20


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(PROGRAMS)


@pytest.fixture
def ws(tmp_path: Path, runtime: FakeRuntime) -> Workspace:
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws, BASE)
    return ws


def state_of(ws: Workspace) -> ContainerState:
    return ws.store.containers.find("box").state.status


def test_limits_reach_the_process_and_inspect(ws: Workspace) -> None:
    wanted = Resources(memory=16 * MIB, pids=5, nano_cpus=10**8, ulimits=(Ulimit("nofile", 1, 2),), shm_size=MIB)
    created = make(ws, "true", name="box", resources=wanted)
    os.close(created.lock)
    assert process_spec(ws, created).resources == wanted
    shown = inspect_container(ws, "box")["HostConfig"]
    names = (
        "Memory",
        "MemorySwap",
        "MemorySwappiness",
        "NanoCpus",
        "PidsLimit",
        "ShmSize",
        "Ulimits",
        "OomKillDisable",
    )
    assert [shown[name] for name in names] == [
        16 * MIB,
        32 * MIB,
        None,
        10**8,
        5,
        MIB,
        [{"Name": "nofile", "Hard": 2, "Soft": 1}],
        False,
    ]


def test_limits_that_make_no_sense_leave_nothing(ws: Workspace) -> None:
    with pytest.raises(InvalidRequest, match="Minimum memory limit allowed is 6MB"):
        make(ws, "true", resources=Resources(memory=1))
    assert leftovers(ws) == []


def test_one_warning_names_all_that_is_not_kept(ws: Workspace, runtime: FakeRuntime) -> None:
    runtime.lacks = ("--memory is this", "--cpus is that")
    told: list[str] = []
    wanted = Resources(memory=16 * MIB, without_effect=("--cgroup-parent",))
    os.close(make(ws, "true", warn=told.append, resources=wanted).lock)
    assert told == [
        "not every limit is kept as it was asked for: --memory is this; --cpus is that; --cgroup-parent has no effect"
    ]


def test_strict_limits_fail_instead(ws: Workspace, runtime: FakeRuntime) -> None:
    runtime.lacks = ("--memory is this",)
    with pytest.raises(RuntimeProblem) as caught:
        make(ws, "true", resources=Resources(memory=16 * MIB, is_strict=True))
    assert str(caught.value) == "not every limit can be kept here: --memory is this"
    assert leftovers(ws) == []


def test_a_container_without_limits_gets_no_warning(ws: Workspace, runtime: FakeRuntime) -> None:
    runtime.lacks = ("something",)
    os.close(make(ws, "true").lock)


def test_a_paused_container_refuses_exec_and_another_pause(
    ws: Workspace, runtime: FakeRuntime, streams: Streams
) -> None:
    box = Running(ws, runtime, streams)
    name = box.created.record.id
    pausing.pause(ws, "box")
    assert (state_of(ws), len(runtime.paused)) == (ContainerState.PAUSED, 1)
    assert [row.state for row in container_list.list_containers(ws)] == [ContainerState.PAUSED]
    shown = inspect_container(ws, "box")["State"]
    assert (shown["Status"], shown["Running"], shown["Paused"], shown["Pid"] > 0) == ("paused", True, True, True)
    with pytest.raises(InvalidState, match=r"^Container box is paused, unpause the container before exec$"):
        execute(ws, "box", ExecRequest(("true",)), streams)
    with pytest.raises(InvalidState, match=f"^Container {name} is already paused$"):
        pausing.pause(ws, "box")
    pausing.unpause(ws, "box")
    assert (state_of(ws), runtime.paused) == (ContainerState.RUNNING, set())
    with pytest.raises(InvalidState, match=f"^Container {name} is not paused$"):
        pausing.unpause(ws, "box")
    containers.kill(ws, "box")
    box.wait()
    with pytest.raises(ContainerNotRunning, match=f"^Container {name} is not running$"):
        pausing.pause(ws, "box")


@pytest.mark.parametrize("end", ["stop", "kill", "remove"])
def test_a_paused_container_can_be_ended(ws: Workspace, runtime: FakeRuntime, streams: Streams, end: str) -> None:
    box = Running(ws, runtime, streams)
    pausing.pause(ws, "box")
    if end == "stop":
        containers.stop(ws, "box")
    elif end == "kill":
        containers.kill(ws, "box", "TERM")
    else:
        container_removal.remove(ws, "box", is_forced=True)
    box.wait()
    assert runtime.paused == set()
    if end != "remove":
        assert state_of(ws) is ContainerState.EXITED


def test_other_signals_do_not_wake_a_paused_container(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    box = Running(ws, runtime, streams)
    pausing.pause(ws, "box")
    containers.kill(ws, "box", "USR1")  # the fake ends of any signal
    box.wait()
    assert len(runtime.paused) == 1


def test_want_of_memory_shows_in_the_state(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "fail", name="box")
    assert inspect_container(ws, "box")["State"]["OOMKilled"] is False
    Path(ws.store.containers.path(ws.store.containers.find("box").id, "oom-killed")).touch()
    assert inspect_container(ws, "box")["State"]["OOMKilled"] is True


def test_want_of_memory_is_told_before_the_end(ws: Workspace, streams: Streams) -> None:
    created = make(ws, "fail", name="box")
    Path(ws.store.containers.path(created.record.id, "oom-killed")).touch()
    run_attached(ws, created, Attachment(streams))
    told = [(event["Action"], event["Actor"]["ID"]) for event in EventReader(ws.store.layout.root).events()]
    assert told[-2:] == [("oom", created.record.id), ("die", created.record.id)]


def test_what_is_left_of_ended_containers_is_swept(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    run(ws, streams, "true", name="ended")
    ended = ws.store.containers.find("ended").id
    box = Running(ws, runtime, streams)
    alive = box.created.record.id
    runtime.left_over = [ended, alive, "f" * 64, f"{os.getpid()}-abc", "4194999-abc"]
    os.close(make(ws, "true").lock)
    assert runtime.left_over == [alive, "f" * 64, f"{os.getpid()}-abc"]
    containers.kill(ws, "box")
    box.wait()


def no_warning(text: str) -> None:
    raise AssertionError(text)


def test_an_update_holds_at_once_and_for_later(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    box = Running(ws, runtime, streams, resources=Resources(memory=16 * MIB, pids=5))
    policy = RestartPolicy(RestartMode.ON_FAILURE, 3)
    update(ws, "box", Resources(memory=20 * MIB), policy, no_warning)
    assert runtime.limited == {box.created.record.id: Resources(memory=20 * MIB, memory_swap=32 * MIB)}
    record = ws.store.containers.find("box").record
    assert record.resources == Resources(memory=20 * MIB, memory_swap=32 * MIB, pids=5)
    assert record.lifecycle.restart == policy
    containers.kill(ws, "box")
    box.wait()


def test_a_stopped_container_is_only_written_down(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    run(ws, streams, "true", name="box")
    update(ws, "box", Resources(pids=7), None, no_warning)
    assert runtime.limited == {}
    assert ws.store.containers.find("box").record.resources.pids == 7
    with pytest.raises(NoSuchContainer):
        update(ws, "other", Resources(pids=7), None, no_warning)


def test_a_restart_policy_does_not_go_with_rm(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    box = Running(ws, runtime, streams, auto_remove=True)
    with pytest.raises(InvalidRequest, match="Restart policy cannot be updated because AutoRemove is enabled"):
        update(ws, "box", Resources(), RestartPolicy(RestartMode.ALWAYS), no_warning)
    containers.kill(ws, "box")
    box.wait()


class Refusing(FakeRuntime):
    """A runtime whose kernel takes no limit."""

    def limit(self, *args: Any) -> None:
        raise RuntimeProblem("no control group", hint="stop it")


def test_a_refused_update_changes_nothing(tmp_path: Path, streams: Streams) -> None:
    runtime = Refusing(PROGRAMS)
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws, BASE)
    box = Running(ws, runtime, streams)
    with pytest.raises(MinidockError) as caught:
        update(ws, "box", Resources(pids=7), None, no_warning)
    assert str(caught.value) == f"Cannot update container {box.created.record.id}: no control group"
    assert (caught.value.exit_code, caught.value.hint) == (1, "stop it")
    assert ws.store.containers.find("box").record.resources == Resources()
    containers.kill(ws, "box")
    box.wait()


def test_figures_are_those_between_two_looks(ws: Workspace, runtime: FakeRuntime, streams: Streams) -> None:
    run(ws, streams, "true", name="ended")
    box = Running(ws, runtime, streams)
    first = Sample(cpu_time=1, machine_time=10, processors=2, memory=5, memory_limit=10)
    runtime.samples = [first, first._replace(cpu_time=2, machine_time=12), first._replace(cpu_time=4, machine_time=20)]
    waited: list[float] = []
    looks = watch(ws, (), waited.append)
    rows = next(looks)
    assert [(row.name, row.cpu_percent, row.memory_percent) for row in rows] == [("box", 100.0, 50.0)]
    assert [row.cpu_percent for row in next(looks)] == [50.0]
    containers.kill(ws, "box")
    box.wait()
    assert next(looks) == ()
    assert waited == [1.0, 1.0, 1.0]


def test_figures_of_containers_that_do_not_run_are_empty(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "true", name="ended")
    (row,) = next(watch(ws, ("ended",), lambda seconds: None))
    assert (row.name, row.asked, row.sample, row.cpu_percent) == ("ended", "ended", None, 0.0)
    assert len(next(watch(ws, (), lambda seconds: None, includes_all=True))) == 1
    with pytest.raises(NoSuchContainer):
        next(watch(ws, ("other",), lambda seconds: None))


def test_top_of_a_container_that_does_not_run_is_refused(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "true", name="ended")
    with pytest.raises(ContainerNotRunning):
        top(ws, "ended", ())


def test_limits_of_a_build_hold_for_every_run(ws: Workspace, runtime: FakeRuntime, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM base:1\nRUN ["true"]\nRUN ["change"]\n')
    wanted = Resources(memory=16 * MIB, ulimits=(Ulimit("nofile", 1, 2),))
    build(ws, BuildRequest(str(tmp_path), resources=wanted), lambda event: None)
    assert [spec.resources for spec in runtime.ran] == [wanted, wanted]
    assert len({spec.id for spec in runtime.ran}) == 2
    with pytest.raises(InvalidRequest, match="Minimum memory limit allowed is 6MB"):
        build(ws, BuildRequest(str(tmp_path), resources=Resources(memory=1)), lambda event: None)
