"""Runs the tests of the native runtime again: as a plain user, and as a root that may not mount."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minidock.core.cgroups import CPU, MEMORY, PIDS
from minidock.core.diagnosis import Verdict
from minidock.runtime import syscalls
from minidock.runtime.cgroups import Cgroups
from tests.other_users import PLAIN_ID, become_plain, environment, public_place, python_for_everybody, run_tests

CAP_SYS_ADMIN, CAP_MKNOD = 21, 27
NAMES = (
    "test_declared",
    "test_holes",
    "test_hostile_images",
    "test_isolation",
    "test_limits",
    "test_native",
    "test_step_mounts",
    "test_volumes",
)
TESTS = [f"tests/runtime/{name}.py" for name in NAMES]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users can reach."""
    with public_place() as path:
        yield path


def give_up_mounting() -> None:
    syscalls.prctl(syscalls.PR_CAPBSET_DROP, CAP_SYS_ADMIN)


@pytest.mark.parametrize("tests", [*TESTS, "tests/runtime/test_cgroups.py", "tests/runtime/test_ownership.py"])
def test_everything_holds_for_a_plain_user(place: Path, tests: str) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    summary = run_tests(python, place, become_plain, tests)
    if "no process can be started here" in summary:
        pytest.skip("plain users cannot make user namespaces here")
    assert "without an overlay" not in summary


@pytest.mark.parametrize("tests", TESTS)
def test_everything_holds_with_a_changed_root_only(place: Path, tests: str) -> None:
    summary = run_tests(sys.executable, place, give_up_mounting, tests)
    assert "without namespaces there is nothing of this to see" in summary
    assert "no process can be started here" not in summary


def test_version_2_alone_is_seen_from_a_container_s_group_on(place: Path) -> None:
    unified = Cgroups().trees().unified
    if unified is None or not os.access(unified.top, os.W_OK):
        pytest.skip("this root has no control groups of version 2")
    group = Path(unified.top, f"minidock-test-{os.getpid()}")

    def be_in_a_group_of_version_2_alone() -> None:
        (group / "cgroup.procs").write_text("0")
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        tree = syscalls.clone_tree(syscalls.AT_FDCWD, unified.top)
        syscalls.mount("tmpfs", "/sys/fs/cgroup", "tmpfs")
        syscalls.move_mount(tree, os.open("/sys/fs/cgroup", os.O_PATH))

    (group / "below").mkdir(parents=True)
    try:
        tests = "tests/runtime/test_limits.py::test_version_2_is_seen_from_the_container_s_group_on"
        summary = run_tests(sys.executable, place, be_in_a_group_of_version_2_alone, tests)
    finally:
        (group / "below").rmdir()
        group.rmdir()
    assert "2 passed" in summary


def test_a_plain_user_gets_control_groups_of_version_1_by_what_doctor_says() -> None:
    tops = {Cgroups().trees().legacy[name].top for name in (MEMORY, CPU, PIDS) if name in Cgroups().trees().legacy}
    if len(tops) < 3 or not all(os.access(top, os.W_OK) for top in tops):
        pytest.skip("this root has no control groups of version 1")
    look = (
        "from minidock.runtime import checks; found = checks.cgroups(); print(found.verdict, found.remedy, sep='\\n')"
    )
    program = [python_for_everybody(), "-c", look]

    def output(words: list[str], become: Callable[[], None] | None) -> list[str]:
        ran = subprocess.run(words, env=environment(), preexec_fn=become, capture_output=True, text=True, check=True)
        return ran.stdout.splitlines()

    verdict, remedy = output(program, become_plain)
    assert verdict == Verdict.WARNING
    command = remedy.replace("sudo ", "")
    user = ["setpriv", "--reuid", str(PLAIN_ID), "--regid", str(PLAIN_ID), "--clear-groups"]
    try:
        assert output(["sh", "-c", f"{command} >&2; {shlex.join([*user, *program])}"], None)[0] == Verdict.OK
    finally:
        for top in tops:
            Path(top, f"user-{PLAIN_ID}").rmdir()


def give_up_mounting_and_devices() -> None:
    give_up_mounting()
    syscalls.prctl(syscalls.PR_CAPBSET_DROP, CAP_MKNOD)


def test_a_changed_root_without_devices_has_a_stand_in_for_null(place: Path) -> None:
    summary = run_tests(sys.executable, place, give_up_mounting_and_devices, "tests/runtime/test_native.py")
    assert " passed" in summary
