"""Every way to make a root file system gives the same layers: overlayfs, fuse-overlayfs, a copy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from minidock.core.entries import Entry
from minidock.engine import changes, images
from minidock.engine.attend import Streams
from minidock.engine.client import Attachment
from minidock.engine.run import create
from minidock.engine.run_request import RunRequest
from minidock.engine.supervise import run_attached
from minidock.engine.workspace import SystemClock, Workspace
from minidock.runtime.base import Isolation, Storage
from minidock.runtime.native import NativeRuntime
from minidock.runtime.probe import fuse_program
from tests.engine.building import MTIME, import_base, open_store, run_build, write_context
from tests.engine.machine_image import machine_tar
from tests.engine.test_build_run import SCRIPT


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Storage, Workspace]:
    place = tmp_path_factory.mktemp("labs")
    report = NativeRuntime().probe(str(place))
    if report.isolation is not Isolation.NAMESPACES or report.storage is not Storage.OVERLAY:
        pytest.skip(f"overlayfs cannot be used here: {'; '.join(report.reasons)}")
    packed = machine_tar()
    labs = {}
    for storage in Storage:
        runtime = NativeRuntime(Isolation.NAMESPACES, storage)
        labs[storage] = Workspace(open_store(place / storage), SystemClock(), lambda runtime=runtime: runtime)
        import_base(labs[storage], packed, "machine")
    return labs


def the_other(storage: Storage) -> None:
    if storage is Storage.FUSE and not fuse_program():
        pytest.skip("fuse-overlayfs is not installed, or /dev/fuse cannot be opened")


def layers(ws: Workspace, context: Path) -> list[list[Entry]]:
    built = run_build(ws, context, source_date_epoch=MTIME)
    return [ws.store.layers.entries(diff_id) for diff_id in images.load(ws, built.image_id).config.diff_ids]


@pytest.mark.parametrize("storage", [Storage.FUSE, Storage.COPY])
def test_layers_are_the_same(labs: Mapping[Storage, Workspace], storage: Storage, tmp_path: Path) -> None:
    the_other(storage)
    again = "rm /hard1 && rm -r /replaced/new /closed || true; mkdir -p /gone/dir/other; echo x >/moved"
    context = write_context(
        tmp_path / "context",
        {
            "Dockerfile": 'FROM machine\nCOPY script again /\nRUN ["sh", "/script"]\nRUN ["sh", "/again"]\n',
            "script": SCRIPT,
            "again": again,
        },
    )
    assert layers(labs[storage], context) == layers(labs[Storage.OVERLAY], context)


@pytest.mark.parametrize("storage", list(Storage))
def test_a_container_shows_what_it_changed(labs: Mapping[Storage, Workspace], storage: Storage) -> None:
    the_other(storage)
    ws = labs[storage]
    script = "rm -r /replaced; mkdir /replaced; echo x >/replaced/new; rm /turned-back; echo same >/kept/mode"
    created = create(ws, RunRequest("machine", ("sh", "-c", script), name="box"), lambda text: None)
    assert run_attached(ws, created, Attachment(Streams(None, None, None))) == 0
    assert [(change.kind, change.path) for change in changes.changes(ws, "box")] == [
        ("C", "/kept"),
        ("C", "/kept/mode"),
        ("C", "/replaced"),
        ("A", "/replaced/new"),
        ("D", "/replaced/old"),
        ("D", "/replaced/sub"),
        ("D", "/turned-back"),
    ]


def test_a_copy_of_an_image_takes_the_bytes_of_all_its_files(labs: Mapping[Storage, Workspace], tmp_path: Path) -> None:
    ws = labs[Storage.COPY]
    # Each in a layer of its own, at the same place of its tar.
    context = write_context(
        tmp_path / "context",
        {"Dockerfile": "FROM machine\nCOPY one /\nCOPY two /\nCOPY three /\n", "one": "1", "two": "22", "three": "333"},
    )
    sizes = {}
    for name in ("machine", run_build(ws, context).image_id.hex):
        created = create(ws, RunRequest(name, ("true",), name=name), lambda text: None)
        assert run_attached(ws, created, Attachment(Streams(None, None, None))) == 0
        sizes[name] = changes.sizes(ws, name).whole_copy_size
    machine, built = sizes.values()
    assert built == machine + 6


def test_nothing_that_serves_a_mount_stays(labs: Mapping[Storage, Workspace], tmp_path: Path) -> None:
    the_other(Storage.FUSE)
    ws = labs[Storage.FUSE]
    before = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    request = RunRequest("machine", ("sh", "-c", "exit 3"))
    assert run_attached(ws, create(ws, request, lambda text: None), Attachment(Streams(None, None, None))) == 3
    assert Path(f"/proc/self/task/{os.getpid()}/children").read_text() == before
    serving = [
        name
        for name in os.listdir("/proc")
        if name.isdigit() and str(ws.store.layout.root).encode() in _command_line(name)
    ]
    assert serving == []


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
