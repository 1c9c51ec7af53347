"""A plain user without user namespaces: what needs no process works, and the doctor says why not more."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.runtime import identity, syscalls
from tests.engine.building import base_tar, write_context
from tests.other_users import PLAIN_ID, become_plain, environment, public_place, python_for_everybody

_LIMIT = "/proc/sys/user/max_user_namespaces"


def without_namespaces() -> None:
    """Become a plain user in a user namespace that may hold no others."""
    if os.geteuid() == 0:
        become_plain()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # cleared by the change of ids; without it /proc/self is root's
    ids = (os.geteuid(), os.getegid())
    self_fd = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    identity.map_single_id(self_fd, ids, ids)
    with open(_LIMIT, "w") as file:
        file.write("0")


class Shell:
    """Runs commands of the program in ``place``."""

    def __init__(self, python: str, place: Path) -> None:
        self._python = python
        self._place = place

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self._python, "-m", "minidock", "--root", str(self._place / "store"), *words],
            env=environment(),
            cwd=self._place,
            input=stdin,
            preexec_fn=without_namespaces,
            capture_output=True,
            check=False,
        )

    def output(self, *words: str, stdin: bytes = b"") -> str:
        ran = self.run(*words, stdin=stdin)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout.decode()


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    python = python_for_everybody() if os.geteuid() == 0 else os.environ.get("PYTHON", "python3")
    with public_place() as place:
        context = {"Dockerfile": "FROM base\nWORKDIR /app\nCOPY . .\nENV A=1\n", "file": "content", "run": "x"}
        write_context(place / "context", context)
        write_context(place / "runs", {"Dockerfile": "FROM base\nRUN true\n"})
        if os.geteuid() == 0:
            os.chown(place, PLAIN_ID, PLAIN_ID)
        shell = Shell(python, place)
        try:
            shell.output("import", "-", "base", stdin=base_tar())
        except (OSError, subprocess.SubprocessError):
            pytest.skip("plain users cannot make user namespaces here, so that they cannot be switched off in one")
        yield shell


def test_what_needs_no_process_works(shell: Shell) -> None:
    shell.output("build", "-t", "app", "context")
    assert "COPY" in shell.output("history", "app")
    assert shell.output("image", "ls", "-q").count("\n") == 2
    assert "Images" in shell.output("system", "df")
    shell.output("tag", "app", "other")
    shell.output("volume", "create", "data")
    assert shell.output("volume", "ls", "-q") == "data\n"
    shell.output("rmi", "other")


def test_what_needs_a_process_says_what_is_missing(shell: Shell) -> None:
    for words in (("run", "--rm", "base", "true"), ("build", "runs")):
        ran = shell.run(*words)
        assert ran.returncode != 0
        assert b"sysctl user.max_user_namespaces=15000" in ran.stderr
        assert b"Traceback" not in ran.stderr


def test_the_doctor_names_the_remedy(shell: Shell) -> None:
    ran = shell.run("doctor", "--format", "json")
    found = {item["Subject"]: item for item in json.loads(ran.stdout)["Findings"]}
    assert (ran.returncode, found["user namespaces"]["Verdict"]) == (1, "problem")
    assert found["user namespaces"]["Remedy"] == "sudo sysctl user.max_user_namespaces=15000"
    assert found["isolation"]["Verdict"] == "problem"
    assert found["locks"]["Verdict"] == "ok"
