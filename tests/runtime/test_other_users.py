"""Runs the tests of the native runtime again: as a plain user, and as a root that may not mount."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.runtime import syscalls
from tests.other_users import PLAIN_ID, become_plain, public_place, python_for_everybody, run_tests

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


def give_up_mounting_and_devices() -> None:
    give_up_mounting()
    syscalls.prctl(syscalls.PR_CAPBSET_DROP, CAP_MKNOD)


def test_a_changed_root_without_devices_has_a_stand_in_for_null(place: Path) -> None:
    summary = run_tests(sys.executable, place, give_up_mounting_and_devices, "tests/runtime/test_native.py")
    assert " passed" in summary
