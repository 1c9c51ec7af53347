"""Layers with holes in files, wherever they come from: their bytes stay, and everything sees the files as they were."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from minidock.core.build_options import Output
from minidock.core.copy_rules import CopyPath
from minidock.core.digest import Digest
from minidock.core.reference import Reference
from minidock.engine import image_contents, images
from minidock.engine.changes import sizes
from minidock.engine.copy_files import CopyRequest, copy
from minidock.engine.export_container import export_container
from minidock.engine.importer import ImportRequest, import_image
from minidock.engine.load import load
from minidock.engine.outputs import Outputs
from minidock.engine.pull import pull
from minidock.engine.run import RunRequest, create
from minidock.engine.save import save
from minidock.engine.sinks import TarSink
from minidock.engine.workspace import Workspace
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from minidock.store.unpack import Unpacker
from tests.engine.building import (
    check_consistent,
    content_of,
    member,
    root_tar,
    run_build,
    top_layer,
    tree_of,
    workspace,
    write_context,
)
from tests.registry_server import make_image, registry_server, upload
from tests.store.test_tar_sparse import FORMATS

SIZE = 3 << 20
MANY = [(number * 16384, b"part %d" % number) for number in range(1, 150)]  # more than stand in one header


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files with holes, between two others."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").write_bytes(b"before")
    for name, parts in {"holes": [(SIZE - 3, b"end")], "many": MANY, "none": []}.items():
        with open(root / name, "wb") as out:
            for start, data in parts:
                out.seek(start)
                out.write(data)
            out.truncate(SIZE)
    (root / "z").write_bytes(b"after")
    os.link(root / "many", root / "same")
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return root


@pytest.fixture(params=FORMATS)
def packed(request: pytest.FixtureRequest, tree: Path) -> bytes:
    """The tree as GNU tar packs it, with nearly nothing of what is zero."""
    command = ["tar", "-C", str(tree), "--sparse", "--sort=name", *FORMATS[request.param], "-c", "."]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(data) < 1 << 20
    return data


def contents(tree: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tree.iterdir()}


def check(ws: Workspace, name: str, tree: Path) -> Digest:
    """Compare an image with the tree; return its ID."""
    image_id = images.find(ws, name).image_id
    found = {entry.path: content_of(ws, image_id, entry.path) for entry in tree_of(ws, image_id).entries()[1:]}
    assert found == contents(tree)
    check_consistent(ws.store)
    return image_id


def archive_of(packed: bytes) -> bytes:
    """Return an archive of one image, d:1, of one layer."""
    diff_id = f"sha256:{sha256(packed).hexdigest()}"
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [diff_id]}}).encode()
    rows = json.dumps([{"Config": "c.json", "RepoTags": ["d:1"], "Layers": ["layer.tar"]}]).encode()
    return root_tar([(member("c.json"), config), (member("layer.tar"), packed), (member("manifest.json"), rows)])


def load_layer(ws: Workspace, packed: bytes) -> None:
    load(ws, io.BytesIO(archive_of(packed)))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_an_import_keeps_the_bytes_of_its_tar(
    ws: Workspace, tree: Path, packed: bytes, compress: Callable[[bytes], bytes]
) -> None:
    import_image(ws, io.BytesIO(compress(packed)), ImportRequest("a:1"))
    check(ws, "a:1", tree)
    (diff_id,) = images.find(ws, "a:1").config.diff_ids
    assert diff_id == Digest.sha256(packed)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_add_and_contexts_fill_holes(
    ws: Workspace, tmp_path: Path, tree: Path, packed: bytes, compress: Callable[[bytes], bytes]
) -> None:
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM scratch\nADD t.tar /\n"})
    (context / "t.tar").write_bytes(compress(packed))
    run_build(ws, context, tags=("b:1",))
    check(ws, "b:1", tree)
    run_build(ws, "-", stdin=io.BytesIO(compress(packed)), tags=("c:1",))
    check(ws, "c:1", tree)


def test_a_loaded_layer_is_saved_as_it_came(ws: Workspace, tmp_path: Path, tree: Path, packed: bytes) -> None:
    load_layer(ws, packed)
    image_id = check(ws, "d:1", tree)
    out = io.BytesIO()
    save(ws, ["d:1"], TarSink(out.write))
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        layer = archive.extractfile(f"blobs/sha256/{sha256(packed).hexdigest()}")
        assert layer is not None and layer.read() == packed
    other = workspace(tmp_path / "other")
    load(other, io.BytesIO(out.getvalue()))
    assert check(other, "d:1", tree) == image_id


def test_a_pulled_layer_keeps_its_bytes(ws: Workspace, tmp_path: Path, tree: Path, packed: bytes) -> None:
    image = make_image([{"lower": b"1"}, packed])
    with registry_server(tmp_path / "registry") as server:
        registries, name = server.registries(tmp_path / "home"), f"{server.domain}/app:1"
        upload(registries, name, image)
        pull(ws, registries, Reference.parse(name), lambda event: None)
        registries.close()
    found = images.find(ws, name)
    assert (str(found.image_id), found.config.diff_ids[1]) == (image.image_id, Digest.sha256(packed))
    assert content_of(ws, found.image_id, "many") == (tree / "many").read_bytes()
    assert {digest: ws.store.blobs.read(Digest.parse(digest)) for digest in image.blobs} == image.blobs


def test_an_index_that_is_lost_is_read_from_the_tar(ws: Workspace, tree: Path, packed: bytes) -> None:
    load_layer(ws, packed)
    (diff_id,) = images.find(ws, "d:1").config.diff_ids
    before = ws.store.layers.entries(diff_id)
    os.unlink(ws.store.layout.layer(diff_id))
    again = workspace(ws.store.layout.root)
    assert again.store.layers.entries(diff_id) == before
    check(again, "d:1", tree)


def test_an_unpacked_layer_has_the_holes_that_gnu_tar_makes(
    ws: Workspace, tmp_path: Path, tree: Path, packed: bytes
) -> None:
    load_layer(ws, packed)
    (diff_id,) = images.find(ws, "d:1").config.diff_ids
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    subprocess.run(["tar", "-xC", str(tmp_path / "theirs")], input=packed, check=True)
    fd = ws.store.blobs.open(diff_id)
    Unpacker(ws.store.disk, str(tmp_path / "ours"), ws.store.id_mode).layer(ws.store.layers.entries(diff_id), fd)
    os.close(fd)
    assert contents(tmp_path / "ours") == contents(tmp_path / "theirs") == contents(tree)
    used = {
        name: {path.name: path.stat().st_blocks for path in (tmp_path / name).iterdir()} for name in ("ours", "theirs")
    }
    assert used["ours"] == used["theirs"]
    assert used["ours"]["none"] == 0
    assert (tmp_path / "ours/same").stat().st_ino == (tmp_path / "ours/many").stat().st_ino


def test_builds_on_top_see_whole_files(ws: Workspace, tmp_path: Path, tree: Path, packed: bytes) -> None:
    load_layer(ws, packed)
    dockerfile = "FROM d:1\nCOPY new /\nFROM scratch\nCOPY --from=0 /many /new /\nCOPY --from=d:1 /holes /same /sub/\n"
    context = write_context(tmp_path / "context", {"Dockerfile": dockerfile, "new": "new"})
    built = run_build(ws, context, tags=("top:1",))
    assert content_of(ws, built.image_id, "many") == (tree / "many").read_bytes()
    assert content_of(ws, built.image_id, "sub/holes") == (tree / "holes").read_bytes()
    assert top_layer(ws, built.image_id)["sub/same"] == f"file 644 {os.geteuid()}:{os.getegid()} {SIZE}"
    check_consistent(ws.store)
    (entry,) = (entry for entry in tree_of(ws, built.image_id).entries() if entry.path == "many")
    assert entry.parts == ()


def test_outputs_have_whole_files(ws: Workspace, tmp_path: Path, tree: Path, packed: bytes) -> None:
    load_layer(ws, packed)
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM d:1\n"})
    wanted = (
        Output("local", str(tmp_path / "out")),
        Output("tar", str(tmp_path / "out.tar")),
    )
    run_build(ws, context, outputs=Outputs(wanted))
    assert contents(tmp_path / "out") == contents(tree)
    assert (tmp_path / "out/none").stat().st_blocks == 0
    with tarfile.open(tmp_path / "out.tar") as archive:
        found = {item.name: archive.extractfile(item) for item in archive if not item.isdir()}
        assert {name: file.read() for name, file in found.items() if file is not None} == contents(tree)


def test_images_are_told_about_as_if_there_were_no_holes(ws: Workspace, tree: Path, packed: bytes) -> None:
    load_layer(ws, packed)
    filled = subprocess.run(["tar", "-C", tree, "--sort=name", "-c", "."], check=True, capture_output=True).stdout
    import_image(ws, io.BytesIO(filled), ImportRequest("filled:1"))

    def told(name: str) -> list[tuple[object, ...]]:
        return [entry._replace(offset=0, parts=()) for entry in image_contents.files(ws, name)]

    assert told("d:1") == told("filled:1")
    assert image_contents.diff(ws, "d:1", "filled:1", has_times=True).changes == ()
    assert image_contents.blame(ws, "d:1", "/many").touches[0].touch.entry.size == SIZE
    sizes_in_bytes = {
        name: ws.store.layers.size_of(images.find(ws, name).config.diff_ids[0]) for name in ("d:1", "filled:1")
    }
    assert sizes_in_bytes["d:1"] == sizes_in_bytes["filled:1"]


def test_containers_see_whole_files(tmp_path: Path, tree: Path, packed: bytes) -> None:
    runtime = NativeRuntime()
    if runtime.probe(str(tmp_path)).isolation is Isolation.UNAVAILABLE:
        pytest.skip("no process can be started here")
    ws = workspace(tmp_path / "store", runtime)
    load_layer(ws, packed)
    os.close(create(ws, RunRequest("d:1", ("none",), name="box"), lambda text: None).lock)

    def cp(source: str, target: str) -> None:
        request = CopyRequest(CopyPath.parse(source), CopyPath.parse(target))
        copy(ws, request, io.BytesIO(), io.BytesIO())

    cp("box:/many", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == (tree / "many").read_bytes()
    with open(tmp_path / "out", "ab") as grown:
        grown.write(b"more")
    cp(str(tmp_path / "out"), "box:/holes")
    cp(str(tmp_path / "out"), "box:/none")
    found = {change.path: (change.size, change.copied_size) for change in sizes(ws, "box").changes}
    zeros = (tree / "many").read_bytes()[4096:]
    same = sum(zeros[start : start + 4096] == bytes(4096) for start in range(0, len(zeros), 4096)) * 4096 + 4096
    assert found["/none"][0] == SIZE + 4
    assert found["/none"][1] == same
    exported = io.BytesIO()
    export_container(ws, "box", exported.write)
    with tarfile.open(fileobj=io.BytesIO(exported.getvalue())) as archive:
        files = {item.name: archive.extractfile(item) for item in archive}
        read = {name: file.read() for name, file in files.items() if file is not None}
    grown_content = (tmp_path / "out").read_bytes()
    assert read == contents(tree) | {"holes": grown_content, "none": grown_content}
