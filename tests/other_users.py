"""Runs tests again as somebody else: a plain user, or a root without some of its powers. Only root can do that."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minidock.runtime import id_ranges, syscalls

PROJECT = Path(__file__).parents[1]
PLAIN_ID = 54321


@contextmanager
def public_place() -> Iterator[Path]:
    """Make a directory that other users can reach, unlike those of pytest."""
    path = Path(tempfile.mkdtemp(prefix="minidock-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def become_plain() -> None:
    """Become a user without a home, an account or any privilege."""
    os.setgroups([])
    os.setresgid(PLAIN_ID, PLAIN_ID, PLAIN_ID)
    os.setresuid(PLAIN_ID, PLAIN_ID, PLAIN_ID)


class RangedUser:
    """A user with an account and ranges of subordinate ids."""

    def __init__(self, name: str) -> None:
        account = pwd.getpwnam(name)
        self.uid, self.gid = account.pw_uid, account.pw_gid

    def become(self) -> None:
        """Become this user, outside of any user namespace."""
        os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)

    def become_root_of_namespace(self) -> None:
        """Become this user, and root of a user namespace with all their ids."""
        self.become()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # which an exec would do; newuidmap looks whose /proc/PID is
        id_ranges.enter(id_ranges.maps_of_user(), 0)


def can_have_ranges() -> bool:
    """Whether a user with ranges of ids can be made here."""
    return all(shutil.which(name) for name in ("useradd", "usermod", "userdel", "newuidmap", "newgidmap"))


@contextmanager
def ranged_user() -> Iterator[RangedUser]:
    """Make a user with ranges of ids for as long as this lasts; the programs that do so lock the files themselves."""
    if not can_have_ranges():
        pytest.skip("the packages passwd and uidmap are not installed")
    name = f"minidock-{os.getpid()}"
    subprocess.run(["useradd", "--no-create-home", name], check=True, capture_output=True)
    try:
        for path, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
            if f"{name}:" not in Path(path).read_text():
                subprocess.run(["usermod", option, "700000-765535", name], check=True)
        yield RangedUser(name)
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)


def environment() -> dict[str, str]:
    """Return what a Python of another user needs to run this project's code."""
    libraries = Path(pytest.__file__).parents[1]
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{PROJECT}:{libraries}", "PYTHONDONTWRITEBYTECODE": "1"}


def run_tests(python: str, place: Path, become: Callable[[], None], tests: str) -> str:
    """Run the file ``tests`` (relative to the project) after ``become`` and return the summary."""
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={place}/tests", "-rs", "-m", ""]
    ran = subprocess.run(
        [*command, str(PROJECT / tests)],
        cwd=PROJECT,
        env=environment(),
        preexec_fn=become,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def python_for_everybody() -> str:
    """Return a Python of this version that a plain user can execute, and that finds this project then."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    check = f"import sys; assert sys.version.startswith('{version}.'); import pytest, xxhash, minidock"
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        try:
            command = [python, "-c", check]
            ran = subprocess.run(command, env=environment(), preexec_fn=become_plain, capture_output=True, check=False)
        except OSError:
            continue
        if ran.returncode == 0:
            return python
    pytest.skip(f"no Python {version} that a plain user may execute, with this project and its libraries in reach")
