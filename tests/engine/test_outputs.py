"""What becomes of the result of a build."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from minidock.core.build_options import Annotation, Output
from minidock.core.config import ImageConfig
from minidock.core.descriptor import Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.events import BuildWarning
from minidock.core.mediatype import LAYER_ZSTD
from minidock.core.packing import Form
from minidock.engine import images
from minidock.engine.build import build
from minidock.engine.load import load
from minidock.engine.outputs import Outputs
from minidock.engine.preparing import BuildRequest
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt, BuildError
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import (
    MTIME,
    directory,
    import_base,
    link,
    member,
    root_tar,
    run_build,
    settle,
    tree_of,
    workspace,
    write_context,
)


def hard_link(path: str, target: str) -> tarfile.TarInfo:
    info = member(path, tarfile.LNKTYPE)
    info.linkname = target
    return info


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    found = workspace(tmp_path / "store", FakeRuntime({}))
    packed = root_tar(
        [
            directory("."),
            directory("closed", 0o500),
            (member("closed/f", mode=0o4751, uid=7, gid=8), b"content"),
            hard_link("closed/g", "closed/f"),
            link("out", "/etc"),
        ]
    )
    import_base(found, packed)
    return found


@pytest.fixture
def context(tmp_path: Path) -> Path:
    place = write_context(tmp_path / "context", {"Dockerfile": "FROM base:1\nCOPY n /\n", "n": "new"})
    settle(place)
    return place


def exported(ws: Workspace, context: Path, *texts: str, stdout: io.BytesIO | None = None, **fields: Any) -> Any:
    outputs = Outputs(tuple(Output.parse(text) for text in texts), stdout)
    return run_build(ws, context, outputs=outputs, **fields)


def test_files_in_a_directory_belong_to_the_caller(ws: Workspace, context: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    exported(ws, context, str(target))
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "closed",
        "closed/f",
        "closed/g",
        "n",
        "out",
    ]
    status = (target / "closed/f").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o4751, os.getuid(), MTIME)
    assert (target / "closed/g").stat().st_ino == status.st_ino
    assert os.readlink(target / "out") == "/etc"
    assert (target / "closed").stat().st_mode & 0o777 == 0o500


def test_what_is_there_stays_and_no_link_leads_out(ws: Workspace, context: Path, tmp_path: Path) -> None:
    outside = write_context(tmp_path / "outside", {"f": "theirs"})
    target = write_context(tmp_path / "out", {"mine": "mine", "n": "old"})
    (target / "closed").symlink_to(outside)
    exported(ws, context, f"type=local,dest={target}")
    assert ((target / "mine").read_text(), (target / "n").read_text()) == ("mine", "new")
    assert ((outside / "f").read_text(), (target / "closed").is_symlink()) == ("theirs", False)


def test_nothing_is_named_where_only_files_are_wanted(ws: Workspace, context: Path, tmp_path: Path) -> None:
    exported(ws, context, str(tmp_path / "out"), tags=("app:1",))
    assert [item.annotations.get("org.opencontainers.image.ref.name") for item in ws.store.images.list()] == ["base:1"]
    exported(ws, context, str(tmp_path / "out"), "type=docker,name=other:2", tags=("app:1",))
    assert images.find(ws, "app:1").names == ("app:1", "other:2")


def test_a_tar_keeps_owners(ws: Workspace, context: Path) -> None:
    out = io.BytesIO()
    exported(ws, context, "-", stdout=out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        found = {item.name: (item.type, item.mode, item.uid, item.gid, item.linkname) for item in archive}
    assert found == {
        "closed": (tarfile.DIRTYPE, 0o500, 0, 0, ""),
        "closed/f": (tarfile.REGTYPE, 0o4751, 7, 8, ""),
        "closed/g": (tarfile.LNKTYPE, 0o4751, 7, 8, "closed/f"),
        "n": (tarfile.REGTYPE, 0o644, 0, 0, ""),
        "out": (tarfile.SYMTYPE, 0o777, 0, 0, "/etc"),
    }


def test_the_same_image_gives_the_same_archive(ws: Workspace, context: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        exported(ws, context, f"type=docker,dest={tmp_path}/{name}", tags=("app:1",))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["context", "one", "store", "two"]


def test_an_archive_is_an_oci_layout_with_annotations(ws: Workspace, context: Path, tmp_path: Path) -> None:
    annotations = (Annotation("a", "b"), Annotation("c", "d", "manifest-descriptor"))
    built = exported(ws, context, f"type=oci,dest={tmp_path}/l,tar=false", tags=("app:1",), annotations=annotations)
    index = json.loads((tmp_path / "l/index.json").read_bytes())
    (descriptor,) = index["manifests"]
    assert descriptor["annotations"] == {
        "c": "d",
        "io.containerd.image.name": "docker.io/library/app:1",
        "org.opencontainers.image.ref.name": "1",
    }
    blobs = tmp_path / "l/blobs/sha256"
    manifest = Manifest.from_bytes((blobs / descriptor["digest"].removeprefix("sha256:")).read_bytes())
    assert (dict(manifest.annotations), manifest.config.digest) == ({"a": "b"}, built.image_id)
    assert all((blobs / layer.digest.hex).stat().st_size == layer.size for layer in manifest.layers)


def test_annotations_of_the_manifest_survive_a_tag(ws: Workspace, context: Path) -> None:
    run_build(ws, context, tags=("app:1",), annotations=(Annotation("a", "b"),))
    images.tag(ws, "app:1", "app:2")
    assert dict(images.stored(ws, images.find(ws, "app:2"))[1].annotations) == {"a": "b"}


def test_timestamps_are_rewritten_in_the_layers_of_the_base_too(ws: Workspace, context: Path, tmp_path: Path) -> None:
    built = exported(ws, context, "type=image,rewrite-timestamp=true", source_date_epoch=1000)
    assert {entry.mtime for entry in tree_of(ws, built.image_id).entries()} == {1000}
    exported(ws, context, f"type=oci,dest={tmp_path}/l,tar=false,rewrite-timestamp=true", source_date_epoch=1000)
    (descriptor,) = json.loads((tmp_path / "l/index.json").read_bytes())["manifests"]
    data = (tmp_path / "l/blobs/sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
    told = [dict(layer.annotations) for layer in Manifest.from_bytes(data).layers]
    assert told == [{"buildkit/rewritten-timestamp": "1000"}] * 2


def test_files_of_an_output_have_the_time_that_is_asked_for(ws: Workspace, context: Path, tmp_path: Path) -> None:
    target, later, out = tmp_path / "out", MTIME + 1000, io.BytesIO()  # no file is newer than that
    exported(ws, context, f"type=local,dest={target}", "type=tar", stdout=out, source_date_epoch=later)
    assert {path.lstat().st_mtime for path in target.rglob("*")} == {later}
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        assert {item.mtime for item in archive} == {later}


@pytest.mark.parametrize("truth", ["1", "True", ""])
def test_every_word_for_true_rewrites_timestamps(ws: Workspace, context: Path, truth: str) -> None:
    built = exported(ws, context, f"type=image,rewrite-timestamp={truth}", source_date_epoch=0)
    assert {entry.mtime for entry in tree_of(ws, built.image_id).entries()} == {0}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("type=tar", "dest file is required for tar exporter. refusing to write to console"),
        ("type=oci", "dest file is required for oci exporter. refusing to write to console"),
        ("type=local", "dest is required for local output"),
        ("type=oci,dest=/", "destination file / is a directory"),
        ("type=nothing", 'exporter "nothing" could not be found'),
        ("type=image,push=true", "tag is needed when pushing to registry"),
        ("type=registry", "tag is needed when pushing to registry"),
        ("type=registry,name=x,compression=lzma", 'unsupported layer compression type "lzma"'),
        ("type=oci,dest=x,compression=lzma", 'unsupported layer compression type "lzma"'),
        ("type=oci,dest=x,compression=gzip,compression-level=x", 'invalid compression level "x"'),
        ("type=oci,dest=x,what=1", 'unknown option "what" of --output type=oci'),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_build(
    ws: Workspace, context: Path, text: str, problem: str
) -> None:
    (context / "Dockerfile").write_text("FROM nothing\n")
    with pytest.raises(BuildError, match=problem):
        exported(ws, context, text)


def test_index_annotations_need_an_index(ws: Workspace, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM nothing\n")  # what is refused is not built
    with pytest.raises(BuildError, match="index annotations not supported for single platform export"):
        run_build(ws, context, annotations=(Annotation("a", "b", "index"),))


def test_a_damaged_layer_is_not_exported(ws: Workspace, context: Path, tmp_path: Path) -> None:
    blob = Path(ws.store.layout.blob(images.find(ws, "base:1").config.diff_ids[0]))
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b"content", b"hostile"))
    for kind in ("oci", "tar", "oci,compression=gzip"):
        with pytest.raises(BlobCorrupt):
            exported(ws, context, f"type={kind},dest={tmp_path}/damaged")
    assert not (tmp_path / "damaged").exists()
    assert os.listdir(ws.store.layout.path("tmp")) == []


@pytest.mark.parametrize(
    ("options", "kind", "program"),
    [
        ("compression=gzip", "gzip", "gzip"),
        ("compression-level=9", "gzip", "gzip"),
        ("compression=gzip,rewrite-timestamp=true", "gzip", "gzip"),
        ("compression=zstd,compression-level=19", "zstd", "zstd"),
    ],
)
def test_layers_of_an_archive_are_packed(
    ws: Workspace, context: Path, tmp_path: Path, options: str, kind: str, program: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    exported(ws, context, f"type=oci,dest={tmp_path}/l,tar=false,{options}", tags=("app:1",))
    blobs = tmp_path / "l/blobs/sha256"
    (descriptor,) = json.loads((tmp_path / "l/index.json").read_bytes())["manifests"]
    manifest = Manifest.from_bytes((blobs / descriptor["digest"].removeprefix("sha256:")).read_bytes())
    config = ImageConfig.from_bytes((blobs / manifest.config.digest.hex).read_bytes())
    types = {layer.media_type for layer in manifest.layers}
    assert types == {f"application/vnd.oci.image.layer.v1.tar+{kind}"}
    unpacked = [
        subprocess.run([program, "-dc"], input=(blobs / layer.digest.hex).read_bytes(), capture_output=True, check=True)
        for layer in manifest.layers
    ]
    assert tuple(Digest.sha256(done.stdout) for done in unpacked) == config.diff_ids
    assert os.listdir(ws.store.layout.path("tmp")) == []


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_a_packed_archive_is_loaded(ws: Workspace, context: Path, tmp_path: Path, kind: str) -> None:
    built = exported(ws, context, f"type={kind},dest={tmp_path}/a.tar,compression=zstd", tags=("app:1",))
    other = workspace(tmp_path / "other", FakeRuntime({}))
    with open(tmp_path / "a.tar", "rb") as stream:
        (loaded,) = load(other, stream)
    assert loaded.image_id == built.image_id


def test_layers_that_came_packed_go_as_they_came(ws: Workspace, context: Path, tmp_path: Path) -> None:
    (diff_id,) = images.find(ws, "base:1").config.diff_ids
    data = zstandard.compress(ws.store.blobs.read(ws.store.layers.get(diff_id).blob.digest), 19)
    (context / "Dockerfile").write_text("FROM base:1\n")
    with ws.store.session() as session:
        blob = Descriptor(LAYER_ZSTD, ws.store.blobs.put(session, data), len(data))
        ws.store.forms.remember(session, diff_id, Form(blob))
        for name, forced in (("kept", "false"), ("anew", "true")):
            options = f"compression=gzip,force-compression={forced}"
            exported(ws, context, f"type=oci,dest={tmp_path}/{name},tar=false,{options}")
    types = {name: _layer_types(tmp_path / name) for name in ("kept", "anew")}
    assert types == {"kept": ["zstd"], "anew": ["gzip"]}
    assert (tmp_path / "kept/blobs/sha256" / blob.digest.hex).read_bytes() == data


def _layer_types(place: Path) -> list[str]:
    (descriptor,) = json.loads((place / "index.json").read_bytes())["manifests"]
    data = (place / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
    return [layer.media_type.rpartition("+")[2] for layer in Manifest.from_bytes(data).layers]


def test_compression_of_what_has_no_layers_is_told(ws: Workspace, context: Path, tmp_path: Path) -> None:
    built = exported(ws, context, f"type=tar,dest={tmp_path}/t.tar,compression=gzip")
    warnings = [event.text for event in built.events if isinstance(event, BuildWarning)]
    assert warnings == ["compression has no effect on --output type=tar"]


@pytest.mark.parametrize("options", ["compression=gzip", "rewrite-timestamp=true"])
def test_what_is_told_of_an_archive_is_what_it_holds(
    ws: Workspace, context: Path, tmp_path: Path, options: str
) -> None:
    (context / "Dockerfile").write_text("ARG SOURCE_DATE_EPOCH=1\nFROM base:1\nCOPY n /\n")
    output = Output.parse(f"type=oci,dest={tmp_path}/l,tar=false,{options}")
    request = BuildRequest(str(context), outputs=Outputs((output,)), build_args={"SOURCE_DATE_EPOCH": "1"})
    result = build(ws, request, lambda event: None)
    (descriptor,) = json.loads((tmp_path / "l/index.json").read_bytes())["manifests"]
    assert result.manifest.to_json() == descriptor
    manifest = Manifest.from_bytes((tmp_path / "l/blobs/sha256" / result.manifest.digest.hex).read_bytes())
    assert result.image_id == manifest.config.digest


@pytest.mark.parametrize("packing", ["", ",compression=gzip"])
@pytest.mark.parametrize(("kind", "source"), [("oci", "oci-archive:{}:1"), ("docker", "docker-archive:{}:app:1")])
def test_skopeo_reads_the_archives(
    ws: Workspace, context: Path, tmp_path: Path, kind: str, source: str, packing: str
) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    built = exported(ws, context, f"type={kind},dest={tmp_path}/a.tar{packing}", tags=("app:1",))
    target = tmp_path / "copied"
    command = ["skopeo", "--insecure-policy", "copy", source.format(tmp_path / "a.tar"), f"dir:{target}"]
    subprocess.run(command, check=True, capture_output=True)
    manifest = json.loads((target / "manifest.json").read_bytes())
    assert manifest["config"]["digest"] == str(built.image_id)
