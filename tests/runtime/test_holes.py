"""The ways out of a container that other runtimes have had, tried from inside; `test_other_users` repeats it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.devices import Device
from minidock.core.id_mode import IdMode
from minidock.core.namespaces import Namespaces
from minidock.core.process import Mount, ProcessSpec, User
from minidock.core.security import Security
from minidock.errors import MinidockError
from minidock.runtime import interpreter
from minidock.runtime.base import ProcessIO, RuntimeReport
from minidock.runtime.native import NativeRuntime
from tests.other_users import PROJECT, environment
from tests.runtime.machine import Containers, finish

NOTHING = ProcessIO()
LIBRARIES = "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu"
# A program of the image that is run by whatever runs the launcher: by the host's Python, which it can then look at.
ATTACK = """#!/proc/self/exe
import os
program = os.open("/proc/self/exe", os.O_PATH)
flags = os.fstatvfs(program).f_flag
try:
    os.close(os.open("/proc/self/exe", os.O_WRONLY))
    print("opened")
except OSError as error:
    print(os.readlink("/proc/self/exe").split(":")[0], bool(flags & os.ST_RDONLY), error.errno)
"""


def python() -> str:
    return os.path.realpath(sys.executable)


@pytest.fixture
def attacked(isolated: Containers, runtime: NativeRuntime) -> Iterator[ProcessSpec]:
    """A container whose program is `ATTACK`; it has this machine's libraries, so that Python runs."""
    if runtime.name != "native":
        pytest.skip("the program that would be overwritten is theirs, and they protect it")
    if not python().startswith("/usr/"):
        pytest.skip("this Python is not below /usr, which the container is given")
    spec = isolated.spec("/attack", mounts=(Mount("/usr", "/usr", is_read_only=True),))
    receiver = Path(spec.rootfs.copied or spec.rootfs.upper)
    (receiver / "attack").write_text(ATTACK)
    (receiver / "attack").chmod(0o755)
    receiver.chmod(0o755)
    yield replace(spec, env=("PATH=/bin", LIBRARIES, "PYTHONHOME=/usr", "PYTHONDONTWRITEBYTECODE=1"))


def check_attack(code: int, text: str) -> None:
    """The program ran, from a mount that nobody can write to, or from a copy that is sealed or not the user's."""
    assert code == 0, text
    _, is_read_only, number = text.split()
    if interpreter.is_writable() and "memfd" not in text:
        assert is_read_only == "True", text
    assert int(number) in (1, 13, 26, 30)


@pytest.mark.parametrize("user", [User(), User(1000, 1000)])
def test_the_launcher_s_python_cannot_be_overwritten_from_inside(
    isolated: Containers, attacked: ProcessSpec, user: User
) -> None:
    check_attack(*isolated.run(replace(attacked, user=user)))


@pytest.mark.parametrize("user", [User(), User(1000, 1000)])
def test_nor_by_a_process_that_joins(isolated: Containers, attacked: ProcessSpec, user: User) -> None:
    handle = isolated.runtime.start(replace(attacked, args=("sleep", "1000")), NOTHING)
    read_end, write_end = os.pipe()
    joined = isolated.runtime.exec(
        handle.started, replace(attacked, user=user, make_cwd=False), ProcessIO(None, write_end, write_end)
    )
    os.close(write_end)
    check_attack(*finish(joined, read_end))
    handle.kill(9)
    handle.wait()


OWN_PYTHON = """
import json, os, sys
from minidock.runtime import interpreter
from minidock.runtime.base import Isolation, ProcessIO
from minidock.runtime.native import NativeRuntime
from minidock.core.process import ProcessSpec, RootFs
lower, place = sys.argv[1:]
for name in ("upper", "work"):
    os.mkdir(f"{place}/{name}")
rootfs = RootFs(lowers=(lower,), upper=f"{place}/upper", work=f"{place}/work")
spec = ProcessSpec(id="own", args=("sleep", "1000"), env=("PATH=/bin",), rootfs=rootfs)
handle = NativeRuntime(Isolation.NAMESPACES).start(spec, ProcessIO())
path = f"/proc/{handle.child}/exe"
print(interpreter.is_writable(), os.readlink(path).startswith("/memfd:python"))
try:
    open(path, "wb")
except OSError as error:
    print(type(error).__name__)
handle.kill(9)
handle.wait()
"""


def test_a_python_of_the_user_s_own_is_protected_too(
    isolated: Containers, report: RuntimeReport, runtime: NativeRuntime, lower: Path, tmp_path: Path
) -> None:
    if report.id_mode is IdMode.ROOT or runtime.name != "native" or not report.has_overlay:
        pytest.skip("about plain users, whose own files a container could change")
    made = subprocess.run(
        [python(), "-m", "venv", "--copies", "--without-pip", str(tmp_path / "venv")],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no copy of Python can be made: {made.stderr}")
    ran = subprocess.run(
        [str(tmp_path / "venv/bin/python"), "-c", OWN_PYTHON, str(lower), str(tmp_path)],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "True True\nOSError\n"), ran.stderr


@pytest.mark.parametrize("place", ["/tmp", "/dev", "/dev/shm"])
def test_devices_that_a_container_makes_do_not_work(isolated: Containers, report: RuntimeReport, place: str) -> None:
    if report.id_mode is not IdMode.ROOT:
        pytest.skip("mknod appears to succeed and makes nothing that works")
    code, text = isolated.run(isolated.shell(f"mknod {place}/null0 c 1 5 && cat {place}/null0"))
    assert (code, text) == (1, f"cat: {place}/null0: Permission denied\n")


def test_devices_on_a_volume_do_not_work(isolated: Containers, report: RuntimeReport, tmp_path: Path) -> None:
    if report.id_mode is not IdMode.ROOT:
        pytest.skip("mknod appears to succeed and makes nothing that works")
    mount = Mount(str(tmp_path), "/data")
    code, text = isolated.run(isolated.shell("mknod /data/zero c 1 5 && cat /data/zero", mounts=(mount,)))
    assert (code, text) == (1, "cat: /data/zero: Permission denied\n")


def test_a_device_that_was_asked_for_works_and_is_not_the_host_s(isolated: Containers, report: RuntimeReport) -> None:
    before = Path("/dev/full").stat()
    device = Security(devices=(Device("/dev/full", "/dev/some/where"), Device("/dev/full", "/else")))
    script = "for f in /dev/some/where /else; do stat -c %t:%T $f; cat <$f >/dev/null & chmod 0 $f 2>/dev/null; done"
    code, text = isolated.run(replace(isolated.shell(f"{script}; true"), security=device))
    assert (code, text) == (0, "1:7\n1:7\n")
    after = Path("/dev/full").stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


@pytest.mark.parametrize(
    ("source", "reason"), [("/nowhere", "no such file or directory"), ("/etc/passwd", "not a device node")]
)
def test_what_is_no_device_is_refused(isolated: Containers, source: str, reason: str) -> None:
    spec = replace(isolated.spec("true"), security=Security(devices=(Device(source, "/dev/x"),)))
    with pytest.raises(MinidockError) as caught:
        isolated.run(spec)
    message = f'error gathering device information while adding custom device "{source}": {reason}'
    assert str(caught.value) == message


HOSTILE = """
import sys
def shout(*words):
    sys.stderr.write("the image's code runs\\n")
shout()
"""


def test_no_module_of_the_image_is_ever_loaded(
    isolated: Containers, runtime: NativeRuntime, report: RuntimeReport
) -> None:
    """Modules, codecs and name services that a launcher could want, at every place where it could look for them."""
    is_rooted = runtime.name != "native" and report.id_mode is IdMode.SINGLE  # such a runtime starts nobody else there
    spec = isolated.shell("true", user=User() if is_rooted else User(1000, 1000), has_terminal=False)
    receiver = Path(spec.rootfs.copied or spec.rootfs.upper)
    for directory in {"", *(path for path in sys.path if path.startswith("/"))}:
        place = receiver / directory.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for name in ("pwd", "grp", "locale", "signal", "struct", "errno", "traceback", "sitecustomize"):
            (place / f"{name}.py").write_text(HOSTILE)
        (place / "encodings").mkdir(exist_ok=True)
        for name in ("__init__", "idna", "ascii", "utf_8", "punycode"):
            (place / "encodings" / f"{name}.py").write_text(HOSTILE)
    receiver.chmod(0o755)
    assert isolated.run(spec) == (0, "")
    with pytest.raises(MinidockError, match='exec: "/\udcff\u0100": '):
        isolated.run(replace(spec, args=("/\udcff\u0100",)))


@pytest.mark.parametrize("name", ["ipc", "uts", "cgroup", "pid"])
def test_a_namespace_of_the_host_is_shared_if_asked_for_and_only_then(
    isolated: Containers, runtime: NativeRuntime, name: str
) -> None:
    if runtime.name != "native":
        pytest.skip("OCI runtimes are not asked for that")
    shown = f"ls -l /proc/self/ns/{name} 2>/dev/null"
    host = os.readlink(f"/proc/self/ns/{name}")
    assert host not in isolated.output(shown)
    shared = Security(namespaces=Namespaces(**{name: "host"}))
    assert host in isolated.run(replace(isolated.shell(shown, hostname="box"), security=shared))[1]
    assert os.uname().nodename != "box"


def test_without_a_pid_namespace_nothing_outlives_the_container(isolated: Containers, runtime: NativeRuntime) -> None:
    if runtime.name != "native":
        pytest.skip("OCI runtimes are not asked for that")
    shared = Security(namespaces=Namespaces(pid="host"))
    mark = f"98{os.getpid()}"
    spec = isolated.shell(f"(sh -c 'exec sleep {mark}' &); touch /ready; exec sleep {mark}", security=shared)
    ready = Path(spec.rootfs.copied or spec.rootfs.upper) / "ready"
    handle = isolated.runtime.start(spec, NOTHING)
    while not ready.exists():
        time.sleep(0.01)
    joined = isolated.shell(f"(sh -c 'exec sleep {mark}' &); true", security=shared)
    assert isolated.runtime.exec(handle.started, replace(joined, make_cwd=False), NOTHING).wait() == 0
    handle.kill(15)
    assert handle.wait() == 143
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark in _command(path)]


def _command(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_settings_of_the_kernel_are_the_container_s_own(isolated: Containers) -> None:
    before = Path("/proc/sys/kernel/shmmni").read_text()
    wanted = Security(sysctls=(("kernel.shmmni", "123"),))
    assert isolated.run(replace(isolated.shell("cat /proc/sys/kernel/shmmni"), security=wanted)) == (0, "123\n")
    assert Path("/proc/sys/kernel/shmmni").read_text() == before
    wrong = replace(isolated.spec("true"), security=Security(sysctls=(("kernel.shmmni", "x"),)))
    with pytest.raises(MinidockError, match="kernel/shmmni"):
        isolated.run(wrong)


def test_a_profile_may_forbid_what_the_launcher_does_if_no_privileges_can_be_gained(
    isolated: Containers, report: RuntimeReport
) -> None:
    """Docker loads the filter last then; otherwise it has to be loaded while there are privileges."""
    if report.id_mode is not IdMode.ROOT:
        pytest.skip("with a single id nothing of this is done by system calls that could be forbidden")
    names = '["setgroups", "setresuid", "setresgid", "setuid", "setgid"]'
    text = f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": {names}, "action": "SCMP_ACT_ERRNO"}}]}}'
    spec = isolated.shell("id -u", user=User(1000, 1000))
    assert isolated.run(replace(spec, security=Security(seccomp=text, no_new_privileges=True))) == (0, "1000\n")
