"""What a container may do, seen from inside; `test_other_users` runs this file as a plain user too."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.id_mode import IdMode
from minidock.core.process import User
from minidock.core.security import ALL_CAPABILITIES, DEFAULT_CAPABILITIES, UNCONFINED, Security
from minidock.runtime.base import RuntimeReport
from tests.other_users import PROJECT, environment
from tests.runtime.machine import Containers

DEFAULT_MASK = 0xA80425FB
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def status(box: Containers, security: Security | None = None, **fields: object) -> dict[str, str]:
    """Return the fields of /proc/self/status of a process in a container."""
    spec = replace(box.shell("cat /proc/self/status", **fields), security=security or Security())
    code, text = box.run(spec)
    assert code == 0, text
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def capabilities(found: dict[str, str]) -> tuple[int, ...]:
    return tuple(int(found[name], 16) for name in SETS)


def test_by_default_docker_s_limits_hold(isolated: Containers, report: RuntimeReport) -> None:
    found = status(isolated)
    assert capabilities(found) == (0, DEFAULT_MASK, DEFAULT_MASK, DEFAULT_MASK, 0)
    assert found["Seccomp"] == "2"
    if report.id_mode is IdMode.ROOT:  # with a single id crun and runc can emulate root only without new privileges
        assert found["NoNewPrivs"] == "0"
    assert (found["SigBlk"], found["SigIgn"], found["Umask"]) == ("0" * 16, "0" * 16, "0022")


def test_capabilities_are_added_and_dropped(isolated: Containers) -> None:
    few = status(isolated, Security(capabilities=("CHOWN", "NET_ADMIN")))
    assert capabilities(few) == (0, 1 | 1 << 12, 1 | 1 << 12, 1 | 1 << 12, 0)
    assert capabilities(status(isolated, Security(capabilities=()))) == (0, 0, 0, 0, 0)


def test_a_plain_user_inside_has_none_but_keeps_the_bound(isolated: Containers, report: RuntimeReport) -> None:
    if report.id_mode is not IdMode.ROOT:
        pytest.skip("with a single id there is no other user without a namespace of its own")
    found = status(isolated, Security(capabilities=(*DEFAULT_CAPABILITIES, "SYS_ADMIN")), user=User(1000, 1000))
    assert capabilities(found) == (0, 0, 0, DEFAULT_MASK | 1 << 21, 0)


def test_without_confinement_there_is_no_filter(isolated: Containers, report: RuntimeReport) -> None:
    if report.id_mode is not IdMode.ROOT:
        pytest.skip("with a single id the filter also emulates root")
    assert status(isolated, Security(seccomp=UNCONFINED))["Seccomp"] == "0"


def test_new_privileges_can_be_forbidden(isolated: Containers) -> None:
    assert status(isolated, Security(no_new_privileges=True))["NoNewPrivs"] == "1"


def test_every_capability_has_its_number() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert last + 1 == len(ALL_CAPABILITIES)
    assert [
        ALL_CAPABILITIES.index(name) for name in ("CHOWN", "SYS_ADMIN", "MKNOD", "SETFCAP", "CHECKPOINT_RESTORE")
    ] == [
        0,
        21,
        27,
        31,
        40,
    ]
    assert Security().capability_mask == DEFAULT_MASK


def test_the_kernel_refuses_what_the_profile_does_not_allow(isolated: Containers) -> None:
    rule = '{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}'
    text = f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}'
    spec = replace(isolated.shell("mkdir /new 2>&1; touch /file && echo made"), security=Security(seccomp=text))
    assert isolated.run(spec)[1].splitlines() == [
        "mkdir: cannot create directory '/new': No space left on device",
        "made",
    ]


def test_privileges_lift_the_covers_of_the_kernel(isolated: Containers) -> None:
    script = "cat /proc/self/mountinfo"
    covered = isolated.output(script)
    spec = replace(isolated.shell(script), security=Security(is_privileged=True))
    code, text = isolated.run(spec)
    assert code == 0
    assert " /proc/keys " in covered and " /proc/sys " in covered
    assert " /proc/keys " not in text and " /proc/sys " not in text


def test_once_inside_nothing_is_imported_any_more() -> None:
    """An image with a module of the right name would have it executed with all privileges."""
    script = (
        "from minidock.runtime import execute\n"
        "execute.forbid_imports()\n"
        "found = []\n"
        "for load in (lambda: __import__('fractions'), lambda: 'a'.encode('idna'), lambda: __import__('pwd')):\n"
        "    try:\n"
        "        load()\n"
        "        found.append('loaded')\n"
        "    except (ImportError, LookupError) as error:\n"
        "        found.append(type(error).__name__)\n"
        "print(found)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env=environment(),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "['ModuleNotFoundError', 'LookupError', 'ModuleNotFoundError']\n", ran.stderr


def test_devices_are_not_the_host_s(isolated: Containers, report: RuntimeReport) -> None:
    before = Path("/dev/full").stat().st_mode
    shown = isolated.output("chmod 600 /dev/full 2>/dev/null; stat -c %a /dev/full; echo gone >/dev/null")
    is_own = report.id_mode is IdMode.ROOT
    assert shown == ("600\n" if is_own else "666\n")
    assert Path("/dev/full").stat().st_mode == before


def test_with_a_read_only_root_nothing_but_memory_can_be_written(isolated: Containers) -> None:
    rootfs = replace(isolated.rootfs(), is_read_only=True)
    places = "/new /tmp/new /etc/hosts /etc/resolv.conf /dev/new /dev/shm/new"
    spec = isolated.shell(f"for f in {places}; do (: >>$f) 2>/dev/null && echo $f; done; true", rootfs=rootfs)
    assert isolated.run(spec) == (0, "/dev/new\n/dev/shm/new\n")
