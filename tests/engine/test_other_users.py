"""Runs the builds with real processes again: as a plain user, and as a root that may not mount."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.runtime import syscalls
from minidock.runtime.probe import fuse_program
from tests.other_users import PLAIN_ID, become_plain, public_place, python_for_everybody, run_tests

CAP_SYS_ADMIN = 21
TESTS = "tests/engine/test_build_run.py"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users can reach."""
    with public_place() as path:
        yield path


def give_up_mounting() -> None:
    syscalls.prctl(syscalls.PR_CAPBSET_DROP, CAP_SYS_ADMIN)


def test_a_plain_user_builds_the_same(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    summary = run_tests(python, place, become_plain, TESTS)
    if "no process can be started here" in summary:
        pytest.skip("plain users cannot make user namespaces here")
    assert "an overlay" not in summary


def test_a_plain_user_copies_and_adds_the_same(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    assert " passed" in run_tests(python, place, become_plain, "tests/engine/test_copy_flags.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "tests", ["test_cache_folders.py", "test_contexts.py", "test_outputs.py", "test_plan.py", "test_save_load.py"]
)
def test_a_plain_user_has_the_same_contexts_and_outputs(place: Path, tests: str) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    assert " passed" in run_tests(python, place, become_plain, f"tests/engine/{tests}")


def test_a_plain_users_steps_have_the_same_mounts(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    summary = run_tests(python, place, become_plain, "tests/engine/test_run_mounts.py")
    if "nothing can be mounted" in summary:
        pytest.skip("plain users cannot make user namespaces here")
    assert "passed" in summary


def test_a_root_that_may_not_mount_builds_the_same(place: Path) -> None:
    summary = run_tests(sys.executable, place, give_up_mounting, TESTS)
    assert "without an overlay nothing is adopted" in summary
    assert "no process can be started here" not in summary


COPIES = "tests/engine/test_copy_files.py"


def test_a_plain_user_copies_files(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    summary = run_tests(python, place, become_plain, COPIES)
    if "no process can be started here" in summary:
        pytest.skip("plain users cannot make user namespaces here")
    assert " passed" in summary


def test_a_root_without_namespaces_copies_files(place: Path) -> None:
    summary = run_tests(sys.executable, place, give_up_mounting, COPIES)
    assert "volumes need namespaces" in summary
    assert " passed" in summary


COMMITS = "tests/engine/test_commit_export.py"


@pytest.mark.slow
def test_a_plain_user_commits_the_same(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    assert " passed" in run_tests(python, place, become_plain, COMMITS)


@pytest.mark.slow
def test_a_root_without_namespaces_commits_the_same(place: Path) -> None:
    assert " passed" in run_tests(sys.executable, place, give_up_mounting, COMMITS)


CONTENTS = "tests/engine/test_image_contents.py"


@pytest.mark.slow
def test_a_plain_user_has_the_same_names_and_numbers(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    assert " passed" in run_tests(python, place, become_plain, CONTENTS)


@pytest.mark.slow
def test_a_root_without_namespaces_has_the_same_names_and_numbers(place: Path) -> None:
    assert " passed" in run_tests(sys.executable, place, give_up_mounting, CONTENTS)


STORAGES = "tests/engine/test_storages.py"


def test_a_plain_user_gets_the_same_layers_however_they_are_stacked(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    device = place / "fuse"
    if not syscalls.permitted_capabilities() >> CAP_SYS_ADMIN & 1:
        pytest.skip("this root cannot mount")
    if not fuse_program():
        pytest.skip("fuse-overlayfs is not installed, or /dev/fuse cannot be opened")
    try:
        os.mknod(device, stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    except OSError:
        pytest.skip("this root cannot make devices")
    device.chmod(0o666)

    def become() -> None:
        """Become a plain user who may open /dev/fuse, which elsewhere on this machine stays what it is."""
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount(str(device), "/dev/fuse", flags=syscalls.MS_BIND)
        become_plain()

    summary = run_tests(python, place, become, STORAGES)
    assert " skipped" not in summary


@pytest.mark.slow
def test_a_plain_users_containers_live_the_same(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    summary = run_tests(python, place, become_plain, "tests/engine/test_lifecycle.py")
    if "no process can be started here" in summary:
        pytest.skip("plain users cannot make user namespaces here")
    assert " passed" in summary


DIFFS = "tests/engine/test_container_diff.py"


@pytest.mark.slow
def test_a_plain_user_sees_the_same_changes(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    assert " passed" in run_tests(python, place, become_plain, DIFFS)


@pytest.mark.slow
def test_a_root_without_namespaces_sees_the_same_changes(place: Path) -> None:
    assert " passed" in run_tests(sys.executable, place, give_up_mounting, DIFFS)


WASTE = "tests/engine/test_image_waste.py"


@pytest.mark.slow
def test_a_plain_user_is_told_the_same_waste(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    assert " passed" in run_tests(python, place, become_plain, WASTE)


@pytest.mark.slow
def test_a_root_without_namespaces_is_told_the_same_waste(place: Path) -> None:
    assert " passed" in run_tests(sys.executable, place, give_up_mounting, WASTE)
