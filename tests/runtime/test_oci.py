"""What crun and runc are told, what is made of what they say, and that nothing stays when their caller is killed.

That they do what the native runtime does is tested in `test_native` and `test_volumes`, which run with each of them.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.process import Mount, ProcessSpec, RootFs, User
from minidock.core.resources import Resources, Ulimit
from minidock.core.security import UNCONFINED, Security
from minidock.errors import CommandNotExecutable, CommandNotFound, NoRuntime, RuntimeProblem
from minidock.runtime.base import IdMode, RuntimeReport
from minidock.runtime.monitor import stat_fields
from minidock.runtime.oci import failure, found, version
from minidock.runtime.oci_config import config_of, process_of
from tests.runtime.contract import NOTHING
from tests.runtime.machine import Containers

SPEC = ProcessSpec(
    id="box",
    args=("sh", "-c", "true"),
    env=("PATH=/bin", "A=b"),
    rootfs=RootFs(("/lower",), "/place/upper", "/place/work", is_read_only=True),
    cwd="/srv",
    user=User(7, 8, (10, 9)),
    hostname="box",
    security=Security(capabilities=("CHOWN", "KILL"), seccomp=UNCONFINED, no_new_privileges=True),
    resources=Resources(ulimits=(Ulimit("nofile", 10, 20), Ulimit("core", -1, -1))),
    has_terminal=True,
)
MASKED = [
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
    *("/sys/firmware", "/sys/devices/virtual/powercap"),
]
MOUNTS = [
    {"destination": "/dev", "type": "bind", "source": "rootfs/dev", "options": ["rbind"]},
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
]
EMULATION = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": [
                *("chown", "chown32", "fchown", "fchown32", "lchown", "lchown32", "fchownat"),
                *("setuid", "setuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setfsuid", "setfsuid32"),
                *("setfsgid", "setfsgid32", "setreuid", "setreuid32", "setregid", "setregid32"),
                *("setresuid", "setresuid32", "setresgid", "setresgid32", "capset"),
            ],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 0,
        },
        *(
            {
                "names": [name],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 0,
                "args": [{"index": index, "value": 0o170000, "valueTwo": kind, "op": "SCMP_CMP_MASKED_EQ"}],
            }
            for name, index in (("mknod", 1), ("mknodat", 2))
            for kind in (0o020000, 0o060000)
        ),
    ],
}


def test_every_value_of_a_process_is_translated() -> None:
    assert config_of(SPEC, is_single_id=False, machine="x86_64") == {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": True,
            "user": {"uid": 7, "gid": 8, "umask": 0o022, "additionalGids": [8, 9, 10]},
            "args": ["sh", "-c", "true"],
            "env": ["PATH=/bin", "A=b"],
            "cwd": "/srv",
            "capabilities": {
                "bounding": ["CAP_CHOWN", "CAP_KILL"],
                "effective": [],
                "permitted": [],
                "inheritable": [],
                "ambient": [],
            },
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20},
                {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
            ],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "mounts": MOUNTS,
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": MASKED,
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
        "hostname": "box",
    }


def test_a_single_id_is_root_by_a_filter_that_needs_no_new_privileges() -> None:
    spec = replace(
        SPEC,
        user=User(),
        security=Security(capabilities=("KILL",), seccomp=UNCONFINED),
        hostname="",
        has_terminal=False,
    )
    config = config_of(spec, is_single_id=True, machine="x86_64")
    assert config["linux"]["seccomp"] == EMULATION
    assert "hostname" not in config
    process = config["process"]
    assert process["user"] == {"uid": 0, "gid": 0, "umask": 0o022}
    assert process["env"] == ["PATH=/bin", "A=b", "APT_CONFIG=/dev/.apt.conf"]
    assert process["noNewPrivileges"] is True
    assert process["capabilities"] == {
        "bounding": ["CAP_KILL"],
        "effective": ["CAP_KILL"],
        "permitted": ["CAP_KILL"],
        "inheritable": [],
        "ambient": [],
    }


def test_a_privileged_process_sees_all_of_proc() -> None:
    linux = config_of(replace(SPEC, security=Security(is_privileged=True)), is_single_id=False, machine="x86_64")[
        "linux"
    ]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == ([], [])


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (replace(SPEC, has_init=True), "start a small init process (--init)"),
        (replace(SPEC, mounts=(Mount("/a", "/proc/cpuinfo"),)), "mount onto /proc/cpuinfo"),
        (replace(SPEC, mounts=(Mount("/a", "/b", propagation="rshared"),)), "share mounts below /b with the host"),
    ],
)
def test_what_cannot_be_had_is_named(spec: ProcessSpec, reason: str) -> None:
    with pytest.raises(RuntimeProblem) as caught:
        config_of(spec, is_single_id=False, machine="x86_64")
    assert (str(caught.value), caught.value.hint) == (
        f"this runtime cannot {reason}",
        "leave it out, or use --runtime native",
    )


def test_a_single_id_cannot_be_another_user() -> None:
    with pytest.raises(RuntimeProblem, match="another user than root where there is a single id"):
        process_of(SPEC, is_single_id=True)


@pytest.mark.parametrize(
    ("command", "text", "kind", "message"),
    [
        (
            "none",
            "executable file `none` not found in $PATH: No such file or directory",
            CommandNotFound,
            'exec: "none": executable file not found in $PATH',
        ),
        (
            "/none",
            'unable to start container process: exec: "/none": stat /none: no such file or directory',
            CommandNotFound,
            'exec: "/none": stat /none: no such file or directory',
        ),
        (
            "/etc/passwd",
            'runc create failed: unable to start container process: exec: "/etc/passwd": permission denied',
            CommandNotExecutable,
            'exec: "/etc/passwd": permission denied',
        ),
        (
            "/bin",
            "open executable: Operation not permitted",
            CommandNotExecutable,
            'exec: "/bin": permission denied',
        ),
        ("true", "mount `x` to `y`: Invalid argument", RuntimeProblem, "crun: mount `x` to `y`: Invalid argument"),
    ],
)
def test_what_the_runtimes_say_becomes_dockers_words(
    command: str, text: str, kind: type[RuntimeProblem], message: str
) -> None:
    log = "\n".join(
        (
            json.dumps({"level": "warning", "msg": "something else"}),
            "no JSON",
            json.dumps({"level": "error", "msg": text}),
        )
    )
    problem = failure("crun", command, log)
    assert (type(problem), str(problem)) == (kind, message)


def test_a_runtime_that_says_nothing_is_named() -> None:
    assert str(failure("crun", "true", "")) == "crun: failed without a word"


def test_a_program_that_is_no_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRuntime) as caught:
        version(str(tmp_path / "none"))
    assert str(caught.value) == f"the runtime {tmp_path}/none cannot be used: No such file or directory"


@pytest.fixture
def delegated(isolated: Containers) -> Containers:
    if isolated.runtime.name == "native":
        pytest.skip("this is about OCI runtimes")
    return isolated


def test_the_program_is_found(delegated: Containers) -> None:
    name = delegated.runtime.name
    assert version(found()[name]).startswith(name)


def test_the_container_ends_when_its_keeper_is_killed(delegated: Containers) -> None:
    handle = delegated.runtime.start(delegated.spec("sleep", "1000"), NOTHING)
    keeper = int(stat_fields(handle.started.pid)[1])
    os.kill(keeper, signal.SIGKILL)
    assert handle.wait() == 137
    assert not delegated.runtime.is_running(handle.started)


def test_a_joined_process_ends_when_its_monitor_is_killed(delegated: Containers) -> None:
    handle = delegated.runtime.start(delegated.spec("sleep", "1000"), NOTHING)
    joined = delegated.runtime.exec(handle.started, delegated.spec("sleep", "1000"), NOTHING)
    helper = int(stat_fields(joined.started.pid)[1])
    monitor = int(stat_fields(helper)[1])
    os.kill(monitor, signal.SIGKILL)
    assert joined.wait() == 137
    until = time.monotonic() + 5
    while delegated.runtime.is_running(joined.started) and time.monotonic() < until:
        time.sleep(0.01)
    assert not delegated.runtime.is_running(joined.started)
    assert delegated.runtime.is_running(handle.started)
    handle.kill(signal.SIGKILL)
    handle.wait()


def test_nothing_of_the_runtime_is_left_beside_the_container(delegated: Containers) -> None:
    spec = delegated.spec("true")
    assert delegated.run(spec) == (0, "")
    place = Path(spec.rootfs.upper).parent
    assert sorted(path.name for path in place.iterdir()) == ["upper", "work"]


def test_root_is_emulated_with_a_single_id_only(delegated: Containers, report: RuntimeReport) -> None:
    code, text = delegated.run(delegated.shell("chown 33:33 /tmp && stat -c %u:%g /tmp"))
    assert (code, text) == (0, "0:0\n" if report.id_mode is IdMode.SINGLE else "33:33\n")


def test_the_default_profile_is_translated_and_root_emulation_comes_before_it() -> None:
    spec = replace(SPEC, user=User(), security=Security())
    plain = config_of(spec, is_single_id=False, machine="x86_64")["linux"]["seccomp"]
    assert (plain["defaultAction"], plain["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert plain["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert plain["syscalls"][-1] == {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    assert plain["syscalls"][-2] == {
        "names": ["clone"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
    }
    emulated = config_of(spec, is_single_id=True, machine="x86_64")["linux"]["seccomp"]["syscalls"]
    allowed = next(rule for rule in emulated if "openat" in rule["names"])
    assert {"chown", "mknod"} & set(allowed["names"]) == set()
    assert "chown" in emulated[0]["names"]
