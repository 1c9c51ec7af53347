"""Control groups in a tree that only looks like the kernel's, for what this machine cannot show: version 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidock.core.diagnosis import Verdict
from minidock.core.resources import Resources
from minidock.errors import RuntimeProblem
from minidock.runtime import cgroup_files, checks
from minidock.runtime.cgroups import Cgroups
from minidock.runtime.confinement import begin, end, join, thaw
from minidock.runtime.launch import no_limits
from minidock.runtime.messages import Failure
from minidock.runtime.orders import Limits

FILES = ("memory.max", "memory.swap.max", "memory.low", "memory.current", "memory.stat", "pids.max", "cpu.max")
FILES += ("cpu.weight", "cgroup.procs", "cgroup.freeze", "cgroup.events", "cgroup.subtree_control", "memory.events")


class FakeTree:
    """A tree of version 2: directories with the kernel's files in them."""

    def __init__(self, top: Path, own: str) -> None:
        self.top = top
        self.own = own
        for directory in (top, top / own.lstrip("/")):
            self.furnish(directory)

    def furnish(self, directory: Path) -> Path:
        """Put the files into a group that the kernel puts there; controllers are passed on without being asked."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.controllers").write_text("cpu io memory pids\n")
        for name in FILES:
            if not (directory / name).exists():
                (directory / name).write_text("")
        return directory

    def read(self, path: str) -> str:
        """Stand in for /proc."""
        if path.endswith("mountinfo"):
            return f"30 22 0:26 / {self.top} rw - cgroup2 cgroup2 rw,nsdelegate\n"
        return f"0::{self.own}\n"


@pytest.fixture
def tree(tmp_path: Path) -> FakeTree:
    return FakeTree(tmp_path / "cgroup", "/session.scope")


def contents(directory: Path, *names: str) -> list[str]:
    return [(directory / name).read_text() for name in names]


def test_limits_go_into_a_group_of_the_containers_own(tree: FakeTree) -> None:
    group = tree.furnish(tree.top / "minidock/box")
    tree.furnish(tree.top / "minidock")
    wanted = Resources(memory=64 << 20, memory_swap=-1, pids=20, nano_cpus=5 * 10**8, cpu_shares=512)
    groups = Cgroups(tree.read)
    assert groups.usable(wanted) == ({"memory", "pids", "cpu"}, ())
    assert groups.make("box", wanted) == [str(group)]
    assert contents(group, "memory.max", "memory.swap.max", "pids.max", "cpu.max", "cpu.weight") == [
        "67108864",
        "max",
        "20",
        "50000 100000",
        "59",
    ]


def test_controllers_are_passed_on_down_to_the_group(tree: FakeTree) -> None:
    parent = tree.furnish(tree.top / "minidock")
    (tree.top / "cgroup.subtree_control").write_text("memory\n")
    Cgroups(tree.read).usable(Resources(memory=64 << 20))
    assert contents(tree.top, "cgroup.subtree_control") == ["memory\n"]
    assert contents(parent, "cgroup.subtree_control") == ["+memory"]


def test_what_version_2_does_not_know_is_named(tree: FakeTree) -> None:
    tree.furnish(tree.top / "minidock")
    wanted = Resources(memory=64 << 20, memory_swappiness=5, is_oom_kill_disabled=True, blkio_weight=500)
    kept, unknown = Cgroups(tree.read).usable(wanted)
    assert (kept, unknown) == ({"memory", "blkio"}, ("--blkio-weight", "--memory-swappiness", "--oom-kill-disable"))


def test_a_controller_that_is_not_there_is_not_kept(tree: FakeTree) -> None:
    assert Cgroups(tree.read).usable(Resources(cpuset_cpus="0")) == (frozenset(), ())


def test_a_container_is_found_in_its_group(tree: FakeTree) -> None:
    group = tree.furnish(tree.top / "minidock/box")
    tree.own = "/minidock/box"
    found = Cgroups(tree.read).of(1)
    assert found == dict.fromkeys(("cpu", "blkio", "memory", "pids", "freezer"), str(group))


def test_a_process_elsewhere_has_no_group_of_ours(tree: FakeTree) -> None:
    assert Cgroups(tree.read).of(1) == {}


def test_a_group_is_frozen_and_thawed(tree: FakeTree) -> None:
    group = tree.furnish(tree.top / "minidock/box")
    groups = {"freezer": str(group)}
    assert cgroup_files.freeze(groups, is_frozen=True)
    assert contents(group, "cgroup.freeze") == ["1"]
    (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert not cgroup_files.is_frozen(groups)
    (group / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    assert cgroup_files.is_frozen(groups)
    cgroup_files.freeze(groups, is_frozen=False)
    assert contents(group, "cgroup.freeze") == ["0"]
    assert not cgroup_files.freeze({}, is_frozen=True)


def test_a_plain_user_uses_the_highest_group_that_is_his(tree: FakeTree, as_if_plain: None) -> None:
    tree.own = "/user.slice/user@1000.service/app.slice/term.scope"
    for directory in (
        "user.slice",
        "user.slice/user@1000.service",
        "user.slice/user@1000.service/app.slice",
        tree.own[1:],
    ):
        tree.furnish(tree.top / directory)
    for directory in (tree.top, tree.top / "user.slice"):
        (directory / "cgroup.procs").chmod(0o444)
        directory.chmod(0o555)
    try:
        bases = Cgroups(tree.read).bases()
    finally:
        for directory in (tree.top, tree.top / "user.slice"):
            directory.chmod(0o755)
    assert {base.directory for base in bases.values()} == {str(tree.top / "user.slice/user@1000.service")}


@pytest.fixture
def as_if_plain() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; test_other_users runs this as a plain user")


def test_a_group_that_cannot_be_written_is_of_no_use(tree: FakeTree, as_if_plain: None) -> None:
    for directory in (tree.top, tree.top / "session.scope"):
        directory.chmod(0o555)
    try:
        assert Cgroups(tree.read).bases() == {}
    finally:
        for directory in (tree.top, tree.top / "session.scope"):
            directory.chmod(0o755)


def limits(*, groups: tuple[Path, ...] = (), possible: tuple[Path, ...] = (), marker: Path | str = "") -> Limits:
    found = no_limits()
    found["groups"], found["possible"] = [str(path) for path in groups], [str(path) for path in possible]
    found["oom_marker"] = str(marker)
    return found


@pytest.mark.parametrize(("events", "is_marked"), [("oom 3\noom_kill 0\n", False), ("oom 1\noom_kill 2\n", True)])
def test_want_of_memory_leaves_a_mark(tree: FakeTree, tmp_path: Path, events: str, is_marked: bool) -> None:
    group = tree.top / "minidock/box"
    group.mkdir(parents=True)
    (group / "memory.events").write_text(events)
    marker = tmp_path / "oom-killed"
    told = limits(possible=(group,), marker=marker)
    end(told)
    assert marker.exists() is is_marked
    begin(told)
    assert not marker.exists()


def test_a_process_joins_its_groups_and_a_frozen_one_is_let_go(tree: FakeTree) -> None:
    group = tree.furnish(tree.top / "minidock/box")
    (group / "cgroup.freeze").write_text("1")
    told = limits(groups=(group,), possible=(group, tree.top / "never/made"))
    join(told)
    thaw(told)
    assert contents(group, "cgroup.procs", "cgroup.freeze") == ["0", "0"]


def test_a_group_that_cannot_be_entered_is_named(tree: FakeTree, as_if_plain: None) -> None:
    group = tree.furnish(tree.top / "minidock/box")
    (group / "cgroup.procs").chmod(0o444)
    with pytest.raises(Failure, match=f"the control group {group} cannot be entered from this session"):
        join(limits(groups=(group,)))


def test_what_is_left_over_is_swept_away(tree: FakeTree) -> None:
    for name in ("dead", "alive", "unknown"):
        (tree.top / "minidock" / name).mkdir(parents=True)
    Cgroups(tree.read).sweep(lambda name: name == "dead")
    assert sorted(os.listdir(tree.top / "minidock")) == ["alive", "unknown"]
    Cgroups(tree.read).sweep(lambda name: True)
    assert not (tree.top / "minidock").exists()


def test_a_refusal_names_the_file(tree: FakeTree) -> None:
    group = tree.furnish(tree.top / "minidock/box")
    tree.furnish(tree.top / "minidock")
    (group / "pids.max").unlink()
    (group / "pids.max").mkdir()
    with pytest.raises(RuntimeProblem, match=r"failed to write .*/box/pids.max: is a directory"):
        Cgroups(tree.read).make("box", Resources(pids=3))


def test_doctor_tells_what_can_be_limited(tree: FakeTree) -> None:
    found = checks.cgroups(Cgroups(tree.read))
    assert (found.verdict, found.found) == (Verdict.OK, "version 2, memory, cpu, pids")
    (tree.top / "cgroup.controllers").write_text("memory\n")
    (tree.top / "session.scope/cgroup.controllers").write_text("memory\n")
    found = checks.cgroups(Cgroups(tree.read))
    assert (found.verdict, found.found) == (Verdict.WARNING, "version 2, only memory")
    assert checks.cgroups(Cgroups(lambda path: "")).found == "none mounted"
