"""A container sees what was declared and nothing else, however untidy its caller is: all of it is compared.

`test_other_users` runs this file as a plain user too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minidock.core.id_mode import IdMode
from minidock.core.security import DEFAULT_PROFILE, UNCONFINED
from minidock.runtime.base import Isolation, RuntimeReport
from minidock.runtime.native import NativeRuntime
from minidock.runtime.system_mounts import masked
from tests.other_users import PROJECT, environment

SCRIPT = (Path(__file__).parent / "inside.py").read_text().partition('"""\n\n')[2]
ALL = (1 << int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1) - 1
DEFAULT = f"{0xA80425FB:016x}"
NOTHING = "0" * 16


@pytest.fixture
def native(report: RuntimeReport, runtime: NativeRuntime) -> str:
    """The name of a runtime with namespaces, on a machine whose Python a container can be given."""
    if report.isolation is not Isolation.NAMESPACES:
        pytest.skip("without namespaces there is nothing of this to see")
    if not python().startswith("/usr/"):
        pytest.skip("this Python is not below /usr, which the container is given")
    return runtime.name


def python() -> str:
    return os.path.realpath(sys.executable)


def look(
    tmp_path: Path,
    lower: Path,
    report: RuntimeReport,
    runtime: str,
    *,
    user: tuple[int, int, list[int]] = (0, 0, []),
    seccomp: str = DEFAULT_PROFILE,
    is_exec: bool = False,
    is_build_step: bool = False,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Return what an untidy caller had, what a process saw, and the status of another one."""
    place = tmp_path / "containers"
    place.mkdir()
    orders = {
        "runtime": runtime,
        "lower": str(lower),
        "place": str(place),
        "is_copied": not report.has_overlay,
        "python": python(),
        "script": SCRIPT,
        "user": user,
        "seccomp": seccomp,
        "is_exec": is_exec,
        "is_build_step": is_build_step,
    }
    ran = subprocess.run(
        [sys.executable, "-m", "tests.runtime.messy", json.dumps(orders)],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    mess, seen, text = json.loads(ran.stdout)
    return mess, seen, dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.mark.parametrize("way", ["run", "exec", "build step", "run as a user", "exec as a user"])
def test_a_process_has_what_was_declared(
    tmp_path: Path, lower: Path, report: RuntimeReport, native: str, way: str
) -> None:
    has_many_ids = report.id_mode is not IdMode.SINGLE
    is_user = way.endswith("as a user")
    if is_user and native != "native" and not has_many_ids:
        pytest.skip("with a single id crun and runc cannot start another user")
    user = (1000, 1001, [7]) if is_user else (0, 0, [])
    mess, seen, other = look(
        tmp_path,
        lower,
        report,
        native,
        user=user,
        is_exec=way.startswith("exec"),
        is_build_step=way == "build step",
    )
    mounts = seen.pop("mounts")
    session, parent = seen["session"][:3], seen["session"][3]
    environment = seen.pop("environment")
    if not is_user and not has_many_ids:
        assert environment.pop("APT_CONFIG") == "/dev/.apt.conf"
    assert environment == {
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu",
        "HOME": "/tmp",
    }
    assert sorted(seen.pop("descriptors")) == ["0", "1", "2"]
    held = NOTHING if is_user else DEFAULT
    forbids_privileges = not has_many_ids and native != "native"
    assert seen.pop("status") == {
        "CapInh": NOTHING,
        "CapPrm": held,
        "CapEff": held,
        "CapBnd": DEFAULT,
        "CapAmb": NOTHING,
        "NoNewPrivs": str(int(forbids_privileges)),
        "Seccomp": "2",
        "Seccomp_filters": seen_filters(other),
        "SigBlk": NOTHING,
    }
    assert (other["SigBlk"], other["SigIgn"], other["SigCgt"], other["ShdPnd"]) == (NOTHING,) * 4
    if native == "native" or not way.startswith("exec"):
        assert set(session) == {session[0]}  # of its own; that of runc's exec begins outside
    assert parent == 0
    assert seen == {
        "ids": [user[0]] * 3 + [user[1]] * 3,
        "groups": sorted({user[1], *user[2]}) if has_many_ids else seen["groups"],
        "cwd": "/tmp",
        "umask": 0o022,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),  # that of the tests
        "processors": mess["processors"],
        "limits": mess["limits"],
        "oom_score_adj": seen["oom_score_adj"],
        "personality": "00000000",
        "session": seen["session"],
        "securebits": 0,
        "keepcaps": 0,
        "keyring": -1,
        "root": seen["root"],
    }
    assert seen["root"] == sorted({*os.listdir(lower), "dev", "proc", "sys", "usr"})
    if not has_many_ids:
        assert set(seen["groups"]) <= {user[1], 65534}
    check_mounts(mounts, is_build_step=way == "build step")


def seen_filters(other: dict[str, str]) -> str:
    """Return how many filters every process has: one of ours, and those of the caller."""
    outside = next(line for line in Path("/proc/self/status").read_text().splitlines() if "Seccomp_filters" in line)
    assert int(other["Seccomp_filters"]) == int(outside.split()[1]) + 1
    return other["Seccomp_filters"]


def check_mounts(found: list[list[str]], *, is_build_step: bool) -> None:
    """Compare the places, file systems and the options that matter with what docker's containers have."""
    places = {place: (kind, set(options.split(","))) for place, kind, options in found}
    plain = {"nosuid", "nodev", "noexec"}
    wanted = {
        "/proc": ("proc", {"rw", *plain}),
        "/dev": ("tmpfs", {"rw", "nosuid", "nodev"}),
        "/dev/pts": ("devpts", {"rw", "nosuid", "noexec"}),
        "/dev/shm": ("tmpfs", {"rw", *plain}),
        "/dev/mqueue": ("mqueue", {"rw", *plain}),
        **{f"/proc/{name}": ("proc", {"ro"}) for name in ("bus", "fs", "irq", "sys")},
        **{f"/{path}": ("", {"ro"}) for path in masked() if Path(f"/{path}").is_dir()},
    }
    for place, (kind, options) in wanted.items():
        if place in places or Path(place).exists():
            assert places[place][0] == (kind or places[place][0]), place
            assert options <= places[place][1], place
    assert "nodev" in places["/"][1]
    covered = [f"/{path}" for path in masked() if Path(f"/{path}").exists()]
    assert set(covered) <= set(places)
    for place, (_, options) in places.items():
        if place.startswith("/sys") and place not in covered:
            assert {"ro", *plain} <= options, place
    files = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"}
    nodes = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
    known = {"/", "/usr", *files, *nodes, *wanted, *covered, "/proc/sysrq-trigger"}
    assert {place for place in places if not place.startswith(("/sys/", "/usr/"))} <= known | {"/sys"}


def test_keys_are_not_the_caller_s(tmp_path: Path, lower: Path, report: RuntimeReport, native: str) -> None:
    if report.id_mode is not IdMode.ROOT or native != "native":
        pytest.skip("a namespace of users, or a filter that emulates root, hides them anyway")
    for number, is_exec in enumerate((False, True)):
        place = tmp_path / str(number)
        place.mkdir()
        mess, seen, _ = look(place, lower, report, native, seccomp=UNCONFINED, is_exec=is_exec)
        assert mess["keyring"] > 0
        assert seen["keyring"] > 0
        assert seen["keyring"] != mess["keyring"]
