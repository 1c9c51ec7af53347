"""`cp` with real containers; `test_other_users` runs this file as a plain user and without namespaces too."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minidock.core.copy_rules import CopyPath
from minidock.core.mounts import MountOption
from minidock.engine import changes
from minidock.engine.attend import Streams
from minidock.engine.client import Attachment
from minidock.engine.containers import kill
from minidock.engine.copy_files import Copied, CopyRequest, copy
from minidock.engine.handover import run_detached
from minidock.engine.pausing import pause
from minidock.engine.run import create
from minidock.engine.run_request import RunRequest
from minidock.engine.supervise import run_attached
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, MinidockError, TarError
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import import_base, member, workspace
from tests.engine.machine_image import machine_tar

QUIET = Attachment(Streams(None, None, None))


@pytest.fixture(scope="module")
def image() -> bytes:
    return machine_tar()


@pytest.fixture
def ws(tmp_path: Path, image: bytes) -> Workspace:
    runtime = NativeRuntime()
    report = runtime.probe(str(tmp_path))
    if report.isolation is Isolation.UNAVAILABLE:
        pytest.skip(f"no process can be started here: {'; '.join(report.reasons)}")
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws, image, "machine")
    return ws


@pytest.fixture(params=["stopped", "running"])
def box(request: pytest.FixtureRequest, ws: Workspace) -> Iterator[str]:
    """A container with some files of its own, that has ended or goes on."""
    script = "mkdir -p /made/sub; echo inner >/made/sub/file; ln -s /made/sub /door; ln -s /../../etc/passwd /made/out;"
    is_running = request.param == "running"
    tail = "touch /ready; exec sleep 1000" if is_running else ""
    created = create(ws, RunRequest("machine", ("sh", "-c", script + tail), name="box"), lambda text: None)
    if not is_running:
        assert run_attached(ws, created, QUIET) == 0
        yield "box"
        return
    run_detached(ws, created)
    while not os.path.lexists(ws.store.containers.path(created.record.id, "upper", "ready")):
        pass
    yield "box"
    kill(ws, "box")


def cp(ws: Workspace, source: str, target: str, stdin: bytes = b"", **fields: bool) -> tuple[Copied, bytes]:
    out = io.BytesIO()
    request = CopyRequest(CopyPath.parse(source), CopyPath.parse(target), **fields)
    return copy(ws, request, io.BytesIO(stdin), out), out.getvalue()


def test_files_go_in_and_come_out_again(ws: Workspace, box: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("content")
    (tmp_path / "in/file").chmod(0o640)
    os.utime(tmp_path / "in/file", (1_600_000_000, 1_600_000_000))
    (tmp_path / "in/link").symlink_to("file")
    os.link(tmp_path / "in/file", tmp_path / "in/same")
    copied, _ = cp(ws, f"{tmp_path}/in", "box:/made")
    assert copied.target == "box:/made"
    cp(ws, "box:/made/in", str(tmp_path / "out"))
    found = {path.name: path.lstat() for path in (tmp_path / "out").iterdir()}
    assert sorted(found) == ["file", "link", "same"]
    assert os.readlink(tmp_path / "out/link") == "file"
    assert (tmp_path / "out/file").read_text() == "content"
    assert (found["file"].st_mode & 0o777, int(found["file"].st_mtime)) == (0o640, 1_600_000_000)
    assert found["file"].st_ino == found["same"].st_ino


def test_links_are_followed_inside_only(ws: Workspace, box: str, tmp_path: Path) -> None:
    cp(ws, "box:/made/out", str(tmp_path / "link"))
    assert os.readlink(tmp_path / "link") == "/../../etc/passwd"
    with tarfile.open(fileobj=io.BytesIO(cp(ws, "box:/made/out", "-", follows_link=True)[1])) as tar:
        assert tar.getnames() == ["passwd"]
    cp(ws, "box:/made/out", str(tmp_path / "passwd"), follows_link=True)
    assert (tmp_path / "passwd").read_text().startswith("root:x:0:0:root:/root:/bin/sh\napp:x:1000")
    (tmp_path / "new").write_text("new")
    cp(ws, f"{tmp_path}/new", "box:/door/")
    cp(ws, "box:/door/.", str(tmp_path / "sub"))
    assert sorted(os.listdir(tmp_path / "sub")) == ["file", "new"]
    cp(ws, f"{tmp_path}/new", "box:/made/out")
    cp(ws, "box:/etc/passwd", str(tmp_path / "changed"))
    assert (tmp_path / "changed").read_text() == "new"


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
def test_streams_are_tars(ws: Workspace, box: str, compress: Callable[[bytes], bytes]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in (("deep/er/file", b"one"), ("top", b"two")):
            info = member(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    cp(ws, "-", "box:/made/sub", compress(packed.getvalue()))
    for source, names in (
        ("box:/made/sub", ["sub", "sub/deep", "sub/deep/er", "sub/deep/er/file", "sub/file", "sub/top"]),
        ("box:/made/sub/deep/.", [".", "er", "er/file"]),
        ("box:/made/sub/top", ["top"]),
    ):
        _, out = cp(ws, source, "-")
        with tarfile.open(fileobj=io.BytesIO(out)) as tar:
            assert tar.getnames() == names


def hostile(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(member("door", tarfile.SYMTYPE, linkname="/"))
        tar.addfile(member(name, kind, linkname=linkname))
    return packed.getvalue()


def test_hostile_streams_stay_inside(ws: Workspace, box: str, tmp_path: Path) -> None:
    with pytest.raises(TarError, match=r"a name with '..'"):
        cp(ws, "-", "box:/made", hostile("../../out"))
    cp(ws, "-", "box:/tmp", hostile("door/minidock-was-here"))
    assert not Path("/minidock-was-here").exists()
    cp(ws, "box:/minidock-was-here", str(tmp_path / "inside"))
    with pytest.raises(TarError):
        cp(ws, "-", "box:/tmp", b"this is no tar at all" * 100)


def test_what_cannot_be_copied_is_told_in_dockers_words(ws: Workspace, box: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dir").mkdir()
    for source, target, message in (
        ("box:/nope", str(tmp_path), "Could not find the file /nope in container box"),
        (f"{tmp_path}/file", "box:/nope/x", "Could not find the file /nope in container box"),
        (f"{tmp_path}/file", "box:/nope/", "no such directory"),
        (f"{tmp_path}/dir", "box:/etc/passwd", "cannot copy directory"),
        ("box:/etc", f"{tmp_path}/file", "cannot copy directory"),
        (f"{tmp_path}/none", "box:/", f"lstat {tmp_path}/none: no such file or directory"),
        (f"{tmp_path}/file/", "box:/", "not a directory"),
        ("box:/etc/passwd", f"{tmp_path}/no/x", f'invalid output path: directory "{tmp_path}/no" does not exist'),
        ("-", "box:/etc/passwd", 'destination "box:/etc/passwd" must be a directory'),
        ("nosuch:/x", str(tmp_path), "No such container: nosuch"),
        ("a", "b", "must specify at least one container source"),
        ("a:/x", "b:/x", "copying between containers is not supported"),
    ):
        with pytest.raises(MinidockError) as caught:
            cp(ws, source, target)
        assert (str(caught.value), caught.value.exit_code) == (message, 1)


def test_volumes_are_seen_and_leave_no_mount_point(ws: Workspace, tmp_path: Path) -> None:
    if ws.runtime.probe(str(tmp_path)).isolation is Isolation.CHROOT:
        pytest.skip("volumes need namespaces")
    texts = ("data:/srv/data", f"{tmp_path}:/host:ro")
    mounts = (*(MountOption.parse(text) for text in texts), MountOption.parse_tmpfs("/run"))
    request = RunRequest("machine", ("true",), name="box", mounts=mounts)
    assert run_attached(ws, create(ws, request, lambda text: None), QUIET) == 0
    (tmp_path / "file").write_text("content")
    cp(ws, f"{tmp_path}/file", "box:/srv/data")
    assert os.listdir(ws.store.volumes.data("data")) == ["file"]
    _, out = cp(ws, "box:/host/file", "-")
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert tar.getnames() == ["file"]
    with pytest.raises(InvalidRequest, match=r"^mounted volume is marked read-only$"):
        cp(ws, f"{tmp_path}/file", "box:/host/new")
    assert changes.changes(ws, "box") == ()


def test_a_read_only_container_is_not_written(ws: Workspace, tmp_path: Path) -> None:
    request = RunRequest("machine", ("true",), name="box", is_read_only=True)
    if ws.runtime.probe(str(tmp_path)).isolation is Isolation.CHROOT:
        pytest.skip("a root file system can only be read-only where it is mounted")
    assert run_attached(ws, create(ws, request, lambda text: None), QUIET) == 0
    (tmp_path / "file").write_text("content")
    with pytest.raises(InvalidRequest, match=r"^container rootfs is marked read-only$"):
        cp(ws, f"{tmp_path}/file", "box:/new")


def test_a_paused_container_is_copied_from_and_to(ws: Workspace, tmp_path: Path) -> None:
    created = create(ws, RunRequest("machine", ("sh", "-c", "touch /ready; exec sleep 1000"), name="box"), print)
    run_detached(ws, created)
    try:
        pause(ws, "box")
        (tmp_path / "here").write_text("content")
        cp(ws, str(tmp_path / "here"), "box:/there")
        cp(ws, "box:/there", str(tmp_path / "back"))
        assert (tmp_path / "back").read_text() == "content"
    finally:
        kill(ws, "box")
