"""Runs the tests of the native runtime again: as a plain user, and as a root that may not mount."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minidock.runtime import syscalls

PROJECT = Path(__file__).parents[2]
PLAIN_ID = 54321
CAP_SYS_ADMIN = 21

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users can reach, unlike those of pytest."""
    path = Path(tempfile.mkdtemp(prefix="minidock-"))
    yield path
    shutil.rmtree(path)


def become_plain() -> None:
    os.setgroups([])
    os.setresgid(PLAIN_ID, PLAIN_ID, PLAIN_ID)
    os.setresuid(PLAIN_ID, PLAIN_ID, PLAIN_ID)


def give_up_mounting() -> None:
    syscalls.prctl(syscalls.PR_CAPBSET_DROP, CAP_SYS_ADMIN)


def run_tests(python: str, place: Path, become: Callable[[], None]) -> str:
    """Run the tests of the native runtime after ``become`` and return the summary."""
    libraries = Path(pytest.__file__).parents[1]
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={place}/tests", "-rs"]
    ran = subprocess.run(
        [*command, "-m", "", str(PROJECT / "tests/runtime/test_native.py")],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{PROJECT}:{libraries}", "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=become,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def python_for_everybody() -> str:
    """Return a Python of this version that a plain user can execute and load."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    check = f"import sys; assert sys.version.startswith('{version}.')"
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        try:
            ran = subprocess.run([python, "-c", check], preexec_fn=become_plain, capture_output=True, check=False)
        except OSError:
            continue
        if ran.returncode == 0:
            return python
    pytest.skip(f"no Python {version} that a plain user may execute")


def test_everything_holds_for_a_plain_user(place: Path) -> None:
    python = python_for_everybody()
    os.chown(place, PLAIN_ID, PLAIN_ID)
    summary = run_tests(python, place, become_plain)
    if "no process can be started here" in summary:
        pytest.skip("plain users cannot make user namespaces here")
    assert "without an overlay" not in summary


def test_everything_holds_with_a_changed_root_only(place: Path) -> None:
    summary = run_tests(sys.executable, place, give_up_mounting)
    assert "without namespaces there is nothing of this to see" in summary
    assert "no process can be started here" not in summary
