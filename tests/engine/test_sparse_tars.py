"""Tars with holes in files, wherever they come from: filled where that may be, refused in one line elsewhere."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from minidock.engine import images
from minidock.engine.importer import ImportRequest, import_image
from minidock.engine.load import load
from minidock.engine.workspace import Workspace
from minidock.errors import SparseTar
from tests.engine.building import check_consistent, content_of, member, root_tar, run_build, workspace, write_context

SIZE = 3 << 20


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store")


@pytest.fixture
def packed(tmp_path: Path) -> bytes:
    """A tar of GNU tar with a file of which all but the end is a hole, between two others."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").write_bytes(b"before")
    with open(root / "holes", "wb") as out:
        out.seek(SIZE - 3)
        out.write(b"end")
    (root / "z").write_bytes(b"after")
    (root / "Dockerfile").write_text("FROM scratch\nCOPY a holes z /\n")
    command = ["tar", "-C", str(root), "--sparse", "--format=pax", "-c", "a", "holes", "z", "Dockerfile"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def check(ws: Workspace, name: str) -> None:
    image_id = images.find(ws, name).image_id
    assert content_of(ws, image_id, "holes") == bytes(SIZE - 3) + b"end"
    assert (content_of(ws, image_id, "a"), content_of(ws, image_id, "z")) == (b"before", b"after")
    check_consistent(ws.store)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_an_import_fills_holes(ws: Workspace, packed: bytes, compress: Callable[[bytes], bytes]) -> None:
    import_image(ws, io.BytesIO(compress(packed)), ImportRequest("a:1"))
    check(ws, "a:1")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_add_and_contexts_fill_holes(
    ws: Workspace, tmp_path: Path, packed: bytes, compress: Callable[[bytes], bytes]
) -> None:
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM scratch\nADD t.tar /\n"})
    (context / "t.tar").write_bytes(compress(packed))
    run_build(ws, context, tags=("b:1",))
    check(ws, "b:1")
    run_build(ws, "-", stdin=io.BytesIO(compress(packed)), tags=("c:1",))
    check(ws, "c:1")


def test_a_layer_with_a_digest_keeps_its_bytes_or_is_refused(ws: Workspace, packed: bytes) -> None:
    config = json.dumps({"os": "linux", "rootfs": {"diff_ids": [f"sha256:{sha256(packed).hexdigest()}"]}}).encode()
    rows = json.dumps([{"Config": "c.json", "RepoTags": ["d:1"], "Layers": ["layer.tar"]}]).encode()
    archive = root_tar([(member("c.json"), config), (member("layer.tar"), packed), (member("manifest.json"), rows)])
    with pytest.raises(SparseTar, match="holes: a file with holes"):
        load(ws, io.BytesIO(archive))
    assert ws.store.images.list() == ()
    check_consistent(ws.store)
