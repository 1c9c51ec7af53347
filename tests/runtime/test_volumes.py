"""What the user has mounted, seen from inside; `test_other_users` runs this file as a plain user too."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.process import Mount, MountType, Recursion
from minidock.errors import RuntimeProblem
from minidock.runtime.base import Isolation, RuntimeReport
from tests.other_users import PROJECT, environment
from tests.runtime.machine import Containers, changes

TMPFS = MountType.TMPFS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("content\n")
    return tmp_path / "data"


def options_of(text: str, target: str) -> set[str]:
    """Return the mount options and those of the file system, from the content of mountinfo."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 4 and fields[4] == target:
            return {*fields[5].split(","), *fields[-1].split(",")}
    raise AssertionError(f"nothing is mounted at {target}:\n{text}")


def test_a_tmpfs_has_what_was_asked_for_and_is_never_a_place_for_devices(isolated: Containers) -> None:
    mounts = (
        Mount("", "/plain", type=TMPFS),
        Mount("", "/own", type=TMPFS, options=("size=1m", "mode=750", "exec", "dev")),
        Mount("", "/closed", True, TMPFS),
    )
    spec = isolated.shell("cat /proc/self/mountinfo; stat -c '%a %n' /plain /own; echo x >/plain/x", mounts=mounts)
    code, text = isolated.run(spec)
    assert code == 0
    assert {"rw", "nosuid", "nodev", "noexec"} <= options_of(text, "/plain")
    own = options_of(text, "/own")
    assert {"nodev", "size=1024k", "mode=750"} <= own
    assert "noexec" not in own
    assert "ro" in options_of(text, "/closed")
    assert text.splitlines()[-2:] == ["1777 /plain", "750 /own"]
    assert changes(spec) == []


def test_a_tmpfs_has_the_mode_of_the_directory_it_hides(isolated: Containers) -> None:
    spec = isolated.shell("ls /bin; stat -c %a /bin", mounts=(Mount("", "/bin", type=TMPFS),))
    with pytest.raises(RuntimeProblem):  # nothing is left to execute
        isolated.run(spec)
    mounts = (Mount("", "/etc", type=TMPFS, options=("mode=700",)),)
    assert isolated.output("stat -c %a /etc", mounts=mounts) == "755\n"


def test_bad_options_of_a_tmpfs_are_named(isolated: Containers) -> None:
    with pytest.raises(RuntimeProblem) as caught:
        isolated.run(isolated.shell("true", mounts=(Mount("", "/x", type=TMPFS, options=("size=foo",)),)))
    assert str(caught.value) == 'error mounting "tmpfs" to rootfs at "/x": invalid argument (options: size=foo)'


def test_mounts_lie_in_one_another_whatever_their_order(isolated: Containers, data: Path) -> None:
    (data / "deep").mkdir()
    mounts = (
        Mount(str(data / "file"), "/a/b/c/one"),
        Mount(str(data), "/a"),
        Mount("", "/a/b", type=TMPFS),
    )
    assert isolated.output("cat /a/file /a/b/c/one; ls /a /a/b", mounts=mounts) == (
        "content\ncontent\n/a:\nb\ndeep\nfile\n\n/a/b:\nc\n"
    )


def test_a_subpath_is_mounted_and_leads_nowhere_else(isolated: Containers, data: Path) -> None:
    (data / "sub").mkdir()
    (data / "sub/inner").write_text("inner\n")
    (data / "inside").symlink_to("/sub")
    (data / "outside").symlink_to("/etc")
    for subpath in ("sub", "inside", "../../sub"):
        mounts = (Mount(str(data), "/x", subpath=subpath),)
        assert isolated.output("cat /x/inner", mounts=mounts) == "inner\n"
    for subpath in ("outside", "missing"):
        with pytest.raises(RuntimeProblem) as caught:
            isolated.run(isolated.shell("true", mounts=(Mount(str(data), "/x", subpath=subpath),)))
        assert str(caught.value) == f"cannot access path {data}/{subpath}: no such file or directory"


def test_a_directory_is_not_put_onto_a_file(isolated: Containers, data: Path) -> None:
    hint = (
        "not a directory: Are you trying to mount a directory onto a file (or vice-versa)? "
        "Check if the specified host path exists and is the expected type"
    )
    for source, target in ((str(data), "/etc/passwd"), (str(data / "file"), "/etc")):
        with pytest.raises(RuntimeProblem) as caught:
            isolated.run(isolated.shell("true", mounts=(Mount(source, target),)))
        assert str(caught.value) == f'error mounting "{source}" to rootfs at "{target}": {hint}'


def test_a_place_that_cannot_be_made_is_named(isolated: Containers, data: Path) -> None:
    inner = Mount(str(data), "/data/new")
    outer = Mount(str(data.parent), "/data", is_read_only=True)
    with pytest.raises(RuntimeProblem) as caught:
        isolated.run(isolated.shell("true", mounts=(outer, inner)))
    assert str(caught.value) == f'error mounting "{data}" to rootfs at "/data/new": read-only file system'


def test_what_the_kernel_tells_in_proc_is_not_hidden(isolated: Containers, data: Path) -> None:
    if isolated.runtime.name != "native":
        pytest.skip("an OCI runtime mounts /proc itself; test_oci tells what is said then")
    source = str(data / "file")
    assert isolated.output("cat /proc/cpuinfo", mounts=(Mount(source, "/proc/cpuinfo"),)) == "content\n"
    spec = isolated.shell("true")
    (Path(spec.rootfs.upper) / "door").symlink_to("/proc/self")
    for target in ("/proc/version", "/proc", "/door/attr"):
        mount = Mount("", target, type=TMPFS) if target == "/proc" else Mount(source, target)
        with pytest.raises(RuntimeProblem, match="cannot be mounted because it is inside /proc"):
            isolated.run(replace(spec, mounts=(mount,)))


def test_a_read_only_root_leaves_mounts_writable_and_has_its_working_directory(
    isolated: Containers, data: Path
) -> None:
    mounts = (Mount(str(data), "/data"), Mount("", "/run", type=TMPFS))
    spec = isolated.shell("pwd; echo x >/data/new; echo x >/run/new; touch new", mounts=mounts, cwd="/work/here")
    code, text = isolated.run(replace(spec, rootfs=replace(spec.rootfs, is_read_only=True)))
    assert (code, text) == (1, "/work/here\ntouch: cannot touch 'new': Read-only file system\n")
    assert (data / "new").read_text() == "x\n"
    assert changes(spec) == []


# Runs in namespaces of its own, where it may mount: a directory with a mount below it, and a container on top.
_BELOW = """
import os, sys
from pathlib import Path
from dataclasses import replace
from minidock.core.process import Mount, Recursion
from minidock.runtime import identity, syscalls
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.runtime.machine import Containers, make_rootfs

place, script = Path(sys.argv[1]), sys.argv[2]
if os.geteuid():
    identity.enter_user_namespace((os.geteuid(), os.getegid()))
syscalls.unshare(syscalls.CLONE_NEWNS)
syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
data = place / "data"
syscalls.mount(str(data), str(data), flags=syscalls.MS_BIND)
syscalls.mount("none", str(data), flags=syscalls.MS_SHARED)
syscalls.mount("tmpfs", str(data / "below"), "tmpfs")
for name in ("rootfs", "boxes"):
    (place / name).mkdir()
runtime = NativeRuntime(Isolation.NAMESPACES)
box = Containers(runtime, make_rootfs(place / "rootfs"), place / "boxes", is_copied=True)
mounts = tuple(
    Mount(str(data), "/" + recursion, True, recursion=Recursion(recursion))
    for recursion in ("enabled", "disabled", "writable")
)
mounts += (Mount(str(data), "/slave", propagation="rslave"), Mount(str(data), "/shared", propagation="rshared"))
print(box.output(script, mounts=mounts), end="")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user may not split mounts that came from the host")
def test_recursion_and_propagation_are_what_was_asked_for(isolated: Containers, data: Path, tmp_path: Path) -> None:
    (data / "below").mkdir()
    script = (
        "for d in enabled disabled writable; do "
        "grep() { while read -r _ _ _ _ at _; do [ $at = $1 ] && echo mounted; done </proc/self/mountinfo; }; "
        'echo "$d: $(grep /$d/below) $( (touch /$d/x) 2>/dev/null && echo top) '
        '$( (touch /$d/below/x) 2>/dev/null && echo below)"; done; '
        "while read -r _ _ _ _ at _ tag _; do "
        "case $at in /slave|/shared|/enabled) echo $at ${tag%:*};; esac; done </proc/self/mountinfo"
    )
    ran = subprocess.run(
        [sys.executable, "-c", _BELOW, str(tmp_path), script],
        env=environment(),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.splitlines() == [
        "enabled: mounted  ",
        "disabled:   ",
        "writable: mounted  below",
        "/enabled -",
        "/slave master",
        "/shared shared",
    ], ran.stderr


def test_mounts_of_a_container_do_not_spread_to_the_host(isolated: Containers, data: Path) -> None:
    text = isolated.output("cat /proc/self/mountinfo", mounts=(Mount(str(data), "/data"),))
    (line,) = (line for line in text.splitlines() if line.split()[4] == "/data")
    assert "shared:" not in line
    assert "master:" not in line


def test_a_mount_can_only_spread_from_one_that_spreads(isolated: Containers, tmp_path: Path) -> None:
    if isolated.runtime.name != "native":
        pytest.skip("an OCI runtime shares nothing with the host; test_oci tells what is said then")
    mount = Mount("/proc", "/x", propagation="rshared")  # never shared where this test passes: see below
    fields = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if any(line[4] == "/proc" and line[6].startswith("shared:") for line in fields):
        pytest.skip("everything is shared here")
    with pytest.raises(RuntimeProblem) as caught:
        isolated.run(isolated.shell("true", mounts=(mount,)))
    assert str(caught.value) == "path /proc is mounted on /proc but it is not a shared mount"


def test_without_namespaces_mounts_are_refused_with_a_reason(
    report: RuntimeReport, box: Containers, data: Path
) -> None:
    if report.isolation is not Isolation.CHROOT:
        pytest.skip("mounts work here")
    with pytest.raises(RuntimeProblem) as caught:
        box.run(box.shell("true", mounts=(Mount(str(data), "/data", recursion=Recursion.ENABLED),)))
    assert str(caught.value) == (
        "cannot mount /data: volumes do not work without namespaces (root without CAP_SYS_ADMIN)"
    )
