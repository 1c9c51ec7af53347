"""Somebody exchanges directories for links that lead out while files are copied: nothing outside is touched."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.core.copy_rules import CopyPath
from minidock.core.entries import FILE
from minidock.core.mounts import MountOption, MountType
from minidock.engine.containers import kill
from minidock.engine.copy_files import CopyRequest, copy
from minidock.engine.handover import run_detached
from minidock.engine.run import create
from minidock.engine.run_request import RunRequest
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import content_of, import_base, run_build, tree_of, workspace, write_context
from tests.engine.machine_image import machine_tar
from tests.engine.swapping import require_exchange, swapping

SECONDS = 1.0  # of each attack
CANARY = "outside"


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory that nobody is to read or write; its files have the names of those inside."""
    require_exchange(tmp_path)
    place = write_context(tmp_path / CANARY, {f"f{number}": CANARY for number in range(20)} | {"only-outside": CANARY})
    before = {path.name: path.read_text() for path in place.iterdir()}
    yield place
    assert {path.name: path.read_text() for path in place.iterdir()} == before


def test_a_build_never_takes_files_from_outside_of_its_context(ws: Workspace, outside: Path, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"deep/sub/f{number}": "inside" for number in range(20)}
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY deep /deep\n", **files})
    (context / "deep/link").symlink_to(outside)
    (tmp_path / "link").symlink_to(outside)
    until, number, copied = time.monotonic() + SECONDS, 0, 0
    with swapping((context / "deep/sub", context / "deep/link"), (context / "deep", tmp_path / "link")) as swaps:
        while time.monotonic() < until:
            number += 1
            try:
                built = run_build(ws, context, uses_cache=False)
            except MinidockError:
                continue  # the context would not keep still
            for entry in tree_of(ws, built.image_id).entries():
                assert "only-outside" not in entry.path
                if entry.kind == FILE:
                    assert content_of(ws, built.image_id, entry.path) == b"inside", entry.path
                    copied += 1
    assert number > 3 and swaps[0] > 100, (number, copied, swaps)


def test_cp_stays_in_a_running_container(outside: Path, tmp_path: Path) -> None:
    runtime = NativeRuntime()
    if runtime.probe(str(tmp_path)).isolation is not Isolation.NAMESPACES:
        pytest.skip("nothing can be mounted into a container here")
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws, machine_tar(), "machine")
    data = write_context(tmp_path / "data", {f"sub/f{number}": "inside" for number in range(20)})
    (data / "link").symlink_to(outside)
    (tmp_path / "given").write_text("given")
    mounts = (MountOption(str(data), "/data", type=MountType.BIND),)
    created = create(ws, RunRequest("machine", ("sleep", "1000"), name="box", mounts=mounts), print)
    run_detached(ws, created)
    until, done = time.monotonic() + SECONDS, 0
    try:
        with swapping((data / "sub", data / "link")) as swaps:
            while time.monotonic() < until:
                for source, target in (("box:/data", "-"), ("box:/data/sub/.", "-"), ("given", "box:/data/sub/given")):
                    out = io.BytesIO()
                    source = str(tmp_path / source) if source == "given" else source
                    request = CopyRequest(CopyPath.parse(source), CopyPath.parse(target))
                    try:
                        copy(ws, request, io.BytesIO(), out)
                    except MinidockError:
                        continue  # it met the link, which leads nowhere inside
                    done += 1
                    assert b"only-outside" not in out.getvalue()
        assert done and swaps[0] > 100, (done, swaps)
    finally:
        kill(ws, "box")
