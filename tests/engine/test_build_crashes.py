"""Bad days of builds: a crash, a full disk or a failing disk at any operation; others building the same; kill -9."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minidock.cli.app import main
from minidock.core.digest import Digest
from minidock.engine import images
from minidock.engine.workspace import Workspace
from minidock.errors import StorageFull
from minidock.runtime.base import Isolation
from minidock.runtime.fake import FakeRuntime
from minidock.runtime.native import NativeRuntime
from minidock.store.faults import Crash, Fault, FaultyDisk
from minidock.store.writer import Disk
from tests.engine.building import (
    MTIME,
    check_consistent,
    content_of,
    import_base,
    run_build,
    tree_of,
    workspace,
    write_context,
)
from tests.engine.machine_image import machine_tar

PROJECT = Path(__file__).parents[2]
DOCKERFILE = "FROM base:1\nENV A=b\nCOPY src /opt/src\nRUN make\nWORKDIR /srv\nCMD run\n"
BOTH = [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.CRASH_INSIDE, Fault.NO_SPACE, Fault.IO_ERROR]


def make(rootfs: Path) -> None:
    (rootfs / "made").write_bytes(b"made")
    for path in (rootfs / "made", rootfs):  # the same layer whenever it is made: then equal stores have equal sizes
        os.utime(path, (MTIME, MTIME))


def lab(root: Path, disk: Disk | None = None) -> Workspace:
    return workspace(root, FakeRuntime({"make": make}), disk)


def du(root: Path) -> int:
    ran = subprocess.run(["du", "-s", "-B1", str(root)], capture_output=True, text=True, check=True)
    return int(ran.stdout.split()[0])


def app(ws: Workspace) -> Digest:
    return images.find(ws, "app:1").image_id


@pytest.mark.parametrize("fault", BOTH, ids=lambda fault: fault.name.lower())
def test_a_fault_at_any_operation_of_a_build_loses_nothing_and_leaves_nothing(fault: Fault, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", {"Dockerfile": DOCKERFILE, "src/a": "old", "src/b": "b"})
    time.sleep(0.3)
    seed = tmp_path / "seed"
    ws = lab(seed)
    import_base(ws)
    old = run_build(ws, context, tags=("app:1",)).image_id
    (context / "src/a").write_text("new")
    time.sleep(0.3)  # files that have just changed are not remembered: then the stores would differ in that
    unharmed, counting = tmp_path / "unharmed", FaultyDisk()
    shutil.copytree(seed, unharmed, symlinks=True)
    run_build(lab(unharmed, counting), context, tags=("app:1",))
    expected, total = du(unharmed), counting.done
    assert total > 50
    for number in range(1, total + 1):
        place = tmp_path / "store"
        shutil.copytree(seed, place, symlinks=True)
        has_failed = False
        try:
            run_build(lab(place, FaultyDisk(number, fault)), context, tags=("app:1",))
        except (Crash, OSError, StorageFull):
            has_failed = True
        fresh = lab(place)
        check_consistent(fresh.store)
        assert content_of(fresh, old, "opt/src/a") == b"old"
        assert app(fresh) == old or content_of(fresh, app(fresh), "opt/src/a") == b"new"
        built = run_build(fresh, context, tags=("app:1",)).image_id
        assert app(fresh) == built
        assert content_of(fresh, built, "opt/src/a") == b"new"
        assert content_of(fresh, built, "made") == b"made"
        check_consistent(fresh.store)
        where = f"{fault.name} at operation {number} of {total}"
        assert has_failed or fault not in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER), where
        with fresh.store.session():
            pass
        assert du(place) == expected, f"{where} leaves bytes behind"
        shutil.rmtree(place)


BUILDER = """
import sys
from pathlib import Path
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import run_build, workspace
import time
store, context, log, tag = sys.argv[1:]
def program(name):
    def act(rootfs):
        with open(log, "a") as lines:
            lines.write(name + chr(10))
        time.sleep(0.05)
        (rootfs / name).write_bytes(name.encode())
    return act
runtime = FakeRuntime({name: program(name) for name in ("one", "two", "three")})
print(run_build(workspace(store, runtime), context, tags=(tag,)).image_id)
"""


def start_builders(tmp_path: Path, contexts: list[Path], log: Path) -> list[subprocess.Popen[str]]:
    libraries = Path(pytest.__file__).parents[1]
    return [
        subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(tmp_path / "store"), str(context), str(log), f"app:{number}"],
            cwd=PROJECT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{PROJECT}:{libraries}", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, context in enumerate(contexts)
    ]


def test_builds_at_once_run_equal_steps_once(tmp_path: Path) -> None:
    text = "FROM base:1\nRUN one\nCOPY a /a\nRUN two\n"
    same = write_context(tmp_path / "same", {"Dockerfile": text, "a": "a"})
    other = write_context(tmp_path / "other", {"Dockerfile": text.replace("two", "three"), "a": "a"})
    import_base(workspace(tmp_path / "store"))
    log = tmp_path / "log"
    running = start_builders(tmp_path, [same, other, same, other, same, same], log)
    results = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 6, results
    assert sorted(log.read_text().split()) == ["one", "three", "two"]
    ids = [out.strip() for out, _ in results]
    assert ids[0] == ids[2] == ids[4] == ids[5]
    assert ids[1] == ids[3]
    check_consistent(workspace(tmp_path / "store").store)


def test_a_build_that_is_killed_during_a_run_leaves_no_process_and_the_next_one_works(tmp_path: Path) -> None:
    if NativeRuntime().probe(str(tmp_path)).isolation is not Isolation.NAMESPACES:
        pytest.skip("without namespaces a process outlives whoever is killed while watching it")
    ws = workspace(tmp_path / "store")
    import_base(ws, machine_tar())
    marker = f"{os.getpid()}.25"
    context = write_context(tmp_path / "context", {"Dockerfile": f"FROM base:1\nRUN touch /t && sleep {marker}\n"})
    command = [
        sys.executable,
        "-m",
        "minidock",
        "--root",
        str(tmp_path / "store"),
        "build",
        "-t",
        "app:1",
        str(context),
    ]
    process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, start_new_session=True)
    wait_for(lambda: processes_with(marker) != [])
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    wait_for(lambda: processes_with(marker) == [])
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    (context / "Dockerfile").write_text("FROM base:1\nRUN touch /t\n")
    assert main(["--root", str(tmp_path / "store"), "build", "-q", "-t", "app:1", str(context)]) == 0
    assert os.listdir(tmp_path / "store/tmp") == []
    assert "t" in tree_of(ws, app(ws))


def wait_for(condition: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def processes_with(word: str) -> list[str]:
    """Return the processes with ``word`` as their last argument."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                arguments = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if word.encode() in arguments:
                found.append(entry)
    return found


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root can mount a small file system")
def test_a_full_disk_is_one_line_and_costs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        ws = workspace(small / "store")
        import_base(ws)
        old = write_context(tmp_path / "old", {"Dockerfile": "FROM base:1\nCOPY a /a\n", "a": b"a" * 500_000})
        run_build(ws, old, tags=("app:1",))
        before = app(ws)
        new = write_context(tmp_path / "new", {"Dockerfile": "FROM base:1\nCOPY a /a\n", "a": os.urandom(4_000_000)})
        assert main(["--root", str(small / "store"), "build", "-t", "app:1", str(new)]) == 1
        stderr = capsys.readouterr().err
        assert "no space left on device" in stderr.splitlines()[-2]
        assert stderr.splitlines()[-1].startswith("hint: ")
        assert "Traceback" not in stderr
        assert app(ws) == before
        assert content_of(ws, before, "a") == b"a" * 500_000
        check_consistent(ws.store)
        assert main(["--root", str(small / "store"), "rmi", "app:1"]) == 0
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_store_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"})
    assert main(["--root", str(closed / "store"), "build", str(context)]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"minidock: cannot write {closed}")


def test_the_store_of_another_user_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ws = workspace(tmp_path / "store")
    import_base(ws)
    identity = Path(ws.store.layout.identity)
    text = identity.read_text().replace(f'"uid":{os.geteuid()}', '"uid":12345')
    identity.unlink()
    identity.write_text(text)
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"})
    assert main(["--root", str(tmp_path / "store"), "build", str(context)]) == 1
    first, hint = capsys.readouterr().err.splitlines()[-2:]
    assert first == f"minidock: {tmp_path}/store is the store of uid 12345, you are uid {os.geteuid()}"
    assert hint == "hint: choose another with --root or MINIDOCK_ROOT"
