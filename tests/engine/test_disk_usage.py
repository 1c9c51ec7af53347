"""What `system df` counts, compared with what `du` says of the same store."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from minidock.core.summary import UsageKind, UsageRow
from minidock.engine import collect, dry_run, images, prune
from minidock.engine.disk_usage import KINDS, disk_usage
from minidock.engine.workspace import Workspace
from tests.engine.building import import_base, member, root_tar, run_build, workspace, write_context

BASE = root_tar([(member("data", mode=0o644), b"x" * 70_000)])
DOCKERFILE = "FROM base:1\nCOPY a /a\nENV X=1\nCOPY b /b\n"


def du(root: Path) -> int:
    """Return what `du` says of a directory."""
    return int(subprocess.run(["du", "-s", "-B1", root], check=True, capture_output=True, text=True).stdout.split()[0])


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store")


def build_two(ws: Workspace, tmp_path: Path) -> None:
    import_base(ws, BASE)
    files = {"Dockerfile": DOCKERFILE, "a": "a" * 5000, "b": "b" * 300}
    run_build(ws, write_context(tmp_path / "one", files), tags=("app:1",))
    run_build(ws, write_context(tmp_path / "two", files | {"b": "c" * 400}), tags=("app:2",))


def test_a_store_that_is_not_there_has_nothing_and_stays_so(ws: Workspace) -> None:
    usage = disk_usage(ws)
    assert usage.on_disk == tuple((kind, 0) for kind in KINDS)
    assert usage.summary == tuple(UsageRow(kind, 0, 0, 0, 0) for kind in UsageKind)
    assert not Path(ws.store.layout.root).exists()


def test_kinds_add_up_to_what_du_says(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    with ws.store.session() as session:
        ws.store.snapshots.stack(session, images.find(ws, "app:1").config.diff_ids)
    before = dict(disk_usage(ws).on_disk)
    collect.remove_image(ws, "app:2", is_forced=False)
    on_disk = dict(disk_usage(ws).on_disk)
    assert sum(on_disk.values()) == du(Path(ws.store.layout.root))
    assert on_disk["unpacked layers"] > 70_000
    assert on_disk["images"] > 75_000
    assert on_disk["build cache"] > before["build cache"]
    assert on_disk["containers"] == on_disk["volumes"] == 0


def test_every_layer_is_counted_once(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    usage = disk_usage(ws)
    assert usage.summary == (
        UsageRow(UsageKind.IMAGES, 3, 0, 75_700, 0),  # the build cache keeps them all
        UsageRow(UsageKind.CONTAINERS, 0, 0, 0, 0),
        UsageRow(UsageKind.VOLUMES, 0, 0, 0, 0),
        UsageRow(UsageKind.CACHE, len(usage.cache), 0, 0, 0),
    )
    assert [(item.row.tag, item.row.size, item.shared_size, item.unique_size) for item in usage.images] == [
        ("2", 75_400, 75_000, 400),
        ("1", 75_300, 75_000, 300),
        ("1", 70_000, 70_000, 0),
    ]
    assert all(row.is_shared for row in usage.cache)


def test_layers_of_removed_images_become_build_cache(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    for name in ("app:1", "base:1"):
        collect.remove_image(ws, name, is_forced=False)
    usage = disk_usage(ws)
    assert usage.summary[0] == UsageRow(UsageKind.IMAGES, 1, 0, 75_400, 0)
    assert usage.summary[3] == UsageRow(UsageKind.CACHE, len(usage.cache), 0, 300, 300)
    collect.remove_image(ws, "app:2", is_forced=False)
    usage = disk_usage(ws)
    assert usage.summary[3] == UsageRow(UsageKind.CACHE, len(usage.cache), 0, 75_700, 75_700)
    assert sorted(row.size for row in usage.cache if row.size) == [300, 400, 5000, 70_000]


def test_rubbish_is_overhead(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    before = dict(disk_usage(ws).on_disk)
    Path(ws.store.layout.path("trash", "x")).write_bytes(bytes(8192))
    Path(ws.store.layout.path("blobs", "sha256", "0" * 64)).write_bytes(bytes(4096))
    after = dict(disk_usage(ws).on_disk)
    assert after == before | {"overhead": after["overhead"]}
    assert after["overhead"] - before["overhead"] == 8192 + 4096
    assert sum(after.values()) == du(Path(ws.store.layout.root))


def test_files_with_holes_take_what_du_says_and_give_it_back(ws: Workspace, tmp_path: Path) -> None:
    hole = 64 << 20
    tree = tmp_path / "tree"
    tree.mkdir()
    with open(tree / "holes", "wb") as out:
        out.seek(hole)
        out.write(b"x" * 9000)
    packed = subprocess.run(["tar", "-C", tree, "--sparse", "-c", "."], check=True, capture_output=True).stdout
    assert len(packed) < 30_000
    root = Path(ws.store.layout.root)
    import_base(ws, packed)
    with ws.store.session() as session:
        ws.store.snapshots.stack(session, images.find(ws, "base:1").config.diff_ids)
    usage = disk_usage(ws)
    on_disk = dict(usage.on_disk)
    assert usage.summary[0].size == hole + 9000
    assert sum(on_disk.values()) == du(root)
    assert 9000 < on_disk["unpacked layers"] < 100_000
    assert 9000 < on_disk["images"] < 100_000
    foretold = dry_run.prune_cache(ws, is_all=True).size
    before = du(root)
    prune.prune_cache(ws, is_all=True)
    assert before - du(root) == foretold == on_disk["unpacked layers"]
