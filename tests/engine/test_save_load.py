"""Archives of images, written and read."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from minidock.core.build_options import Annotation, Output
from minidock.core.descriptor import REF_NAME
from minidock.core.digest import Digest
from minidock.core.platform import Platform
from minidock.engine import images
from minidock.engine.importer import ImportRequest, import_image
from minidock.engine.load import Loaded, load
from minidock.engine.outputs import Outputs
from minidock.engine.pack import FULL_NAME
from minidock.engine.platforms import architecture, this_platform
from minidock.engine.save import save
from minidock.engine.sinks import TarSink, replacing, told
from minidock.engine.workspace import Workspace
from minidock.errors import BlobCorrupt, MinidockError, NoSuchImage
from minidock.runtime.fake import FakeRuntime
from minidock.store.event_log import EventReader
from tests.engine.building import (
    base_tar,
    check_consistent,
    content_of,
    directory,
    import_base,
    link,
    member,
    root_tar,
    run_build,
    workspace,
    write_context,
)
from tests.store.tar_blocks import file, pax

LAYER = root_tar([(member("f"), b"content")])
DIFF_ID = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"
CONFIG = json.dumps(
    {"rootfs": {"type": "layers", "diff_ids": [DIFF_ID]}, "os": "linux", "architecture": architecture(), "more": 1},
    indent=1,
).encode()
OTHER = "arm64" if architecture() == "amd64" else "amd64"
CONFIG_HEX = hashlib.sha256(CONFIG).hexdigest()


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    found = workspace(tmp_path / "store", FakeRuntime({}))
    import_base(found)
    return found


@pytest.fixture
def other(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "other", FakeRuntime({}))


def built(ws: Workspace, tmp_path: Path, *tags: str, **files: str) -> Digest:
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM base:1\nCOPY . /\n", "f": "content", **files})
    return run_build(ws, context, tags=tags, annotations=(Annotation("a", "b"),)).image_id


def saved(ws: Workspace, *names: str) -> bytes:
    out = io.BytesIO()
    save(ws, names, TarSink(out.write))
    return out.getvalue()


def of_docker(
    config: bytes = CONFIG,
    layer: bytes = LAYER,
    layers: int = 1,
    path: str = f"{CONFIG_HEX}.json",
    tag: str = "theirs:1",
) -> bytes:
    rows = [{"Config": path, "RepoTags": [tag], "Layers": ["x/layer.tar"] * layers}]
    return root_tar(
        [(member(path), config), (member("x/layer.tar"), layer), (member("manifest.json"), json.dumps(rows).encode())]
    )


def of_rows(text: bytes) -> bytes:
    """Return an archive with nothing but a manifest.json."""
    return root_tar([(member("manifest.json"), text)])


def of_holes() -> bytes:
    """Return an archive whose manifest.json is a file with holes."""
    return pax(GNU__sparse__size=b"9", GNU__sparse__map=b"0,1") + file(b"manifest.json", b"[")


def many_attributes() -> bytes:
    """Return an archive that is small when it is packed and fills memory when its members are listed."""
    packed = pax(**{"SCHILY.xattr.user.x": b"v" * 100_000})
    return gzip.compress(b"".join(packed + file(b"%d" % number) for number in range(600)), 1)


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress]
)
def test_what_was_saved_is_loaded_with_its_names(
    ws: Workspace, other: Workspace, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    image_id = built(ws, tmp_path, "app:1", "app:2")
    archive = compress(saved(ws, "app", "base:1"))
    loaded = load(other, io.BytesIO(archive))
    base = images.find(ws, "base:1").image_id
    assert loaded == (Loaded(image_id, "app:1"), Loaded(image_id, "app:2"), Loaded(base, "base:1"))
    assert content_of(other, image_id, "f") == b"content"
    assert dict(images.stored(other, images.find(other, "app:1"))[1].annotations) == {"a": "b"}
    check_consistent(other.store)
    assert load(other, io.BytesIO(archive)) == loaded


def test_what_the_other_side_has_is_left_out_and_found_there(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    image_id = built(ws, tmp_path, "app:1")
    whole, out = saved(ws, "app:1"), io.BytesIO()
    save(ws, ["app:1"], TarSink(out.write), since=["base:1"])
    part = out.getvalue()
    base, app = images.find(ws, "base:1"), images.find(ws, "app:1")
    with tarfile.open(fileobj=io.BytesIO(part)) as tar:
        names = {name.rpartition("/")[2] for name in tar.getnames()}
    assert {diff_id.hex for diff_id in app.config.diff_ids} & names == {app.config.diff_ids[-1].hex}
    assert len(part) < len(whole)
    missing = f"since base:1 ({base.image_id.short}), of which this store lacks layer {base.config.diff_ids[0].short}"
    with pytest.raises(MinidockError, match=re.escape(missing)):
        load(other, io.BytesIO(part))
    assert other.store.images.list() == ()
    load(other, io.BytesIO(saved(ws, "base:1")))
    assert load(other, io.BytesIO(part)) == (Loaded(image_id, "app:1"),)
    assert content_of(other, image_id, "f") == b"content"
    check_consistent(other.store)
    with pytest.raises(MinidockError, match="No such image: nothing"):
        save(ws, ["app:1"], TarSink(out.write), since=["nothing"])


def test_an_archive_that_lacks_a_layer_and_does_not_say_so_is_damaged(ws: Workspace) -> None:
    archive = of_oci()
    load(ws, io.BytesIO(archive))
    hidden = archive.replace(f"blobs/sha256/{hashlib.sha256(LAYER).hexdigest()}".encode(), b"b" * 77)
    with pytest.raises(MinidockError, match=r"holds no file|checksum"):
        load(ws, io.BytesIO(hidden))


def test_a_file_is_read_where_it_is(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    image_id = built(ws, tmp_path, "app:1")
    place = tmp_path / "archive.tar"
    for data in (saved(ws, "app:1"), gzip.compress(saved(ws, "app:1"))):
        place.write_bytes(data)
        with place.open("rb") as stream:
            assert load(other, stream) == (Loaded(image_id, "app:1"),)
    place.write_bytes(b"skip me" + saved(ws, "app:1"))
    with place.open("rb") as stream:
        stream.seek(7)
        assert load(other, stream) == (Loaded(image_id, "app:1"),)


def test_what_is_named_by_its_id_has_no_name(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    image_id = built(ws, tmp_path, "app:1")
    assert load(other, io.BytesIO(saved(ws, image_id.hex[:12]))) == (Loaded(image_id),)


def test_a_name_that_moves_tells_whose_it_was(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    archive = saved(ws, "base:1")
    import_base(other, root_tar([(member("else"), b"")]))
    before = images.find(other, "base:1").image_id
    (loaded,) = load(other, io.BytesIO(archive))
    assert (loaded.name, loaded.replaced) == ("base:1", before)


def test_dockers_old_archives_keep_the_bytes_of_their_configs(other: Workspace, tmp_path: Path) -> None:
    assert load(other, io.BytesIO(of_docker())) == (Loaded(Digest(CONFIG_HEX), "theirs:1"),)
    images.tag(other, "theirs:1", "ours:1")
    assert images.find(other, "ours:1").image_id.hex == CONFIG_HEX


def test_an_image_of_another_platform_is_neither_saved_nor_loaded(ws: Workspace, other: Workspace) -> None:
    foreign = (Platform("linux", "s390x"),)
    with pytest.raises(MinidockError, match="base:1 was found but does not provide the specified platform"):
        save(ws, ["base:1"], TarSink(io.BytesIO().write), foreign)
    with pytest.raises(MinidockError, match="theirs:1 was found but does not provide"):
        load(other, io.BytesIO(of_docker()), foreign)
    assert load(other, io.BytesIO(of_docker()), (*foreign, this_platform()))


def test_saving_nothing_is_an_error(ws: Workspace) -> None:
    with pytest.raises(MinidockError, match="No such image: nothing:1"):
        saved(ws, "nothing:1")


@pytest.mark.parametrize(
    ("archive", "problem"),
    [
        (b"junk\n", "unexpected EOF"),
        (bytes(10240), "holds no images"),
        (base_tar(), "holds no images"),
        (of_docker(config=CONFIG + b" "), "digest"),
        (of_docker(layer=root_tar([(member("f"), b"hostile")])), "digest"),
        (of_docker(layers=2), "2 layers in manifest.json, but 1 in the config"),
        (root_tar([link("manifest.json", "/etc/passwd")]), "holds no images"),
        (root_tar([link("manifest.json", "manifest.json")]), "too many levels"),
        (root_tar([(member("../manifest.json"), b"[]")]), "'..'"),
        (root_tar([(member("manifest.json"), b'[{"Config": 1}]')]), "manifest.json of the archive is malformed"),
        (of_rows(b'[{"Config": "c", "RepoTags": "abc", "Layers": []}]'), "manifest.json of the archive is malformed"),
        (of_rows(b'[{"Config": "c", "Layers": "abc"}]'), "manifest.json of the archive is malformed"),
        (of_rows(b"[7]"), "manifest.json of the archive: not a list of objects"),
        (of_rows(b"{}"), "manifest.json of the archive: not a list of objects"),
        (of_rows(b"[" * 100_000), "manifest.json of the archive: not JSON"),
        (of_rows(b'[{"config": "c", "Config": "d", "Layers": []}]'), "'config' could be taken for 'Config'"),
        (of_rows(b'[{"Config": "c", "Layers": [], "Layers": ["x"]}]'), "'Layers' is there twice"),
        (of_holes(), "manifest.json of the archive: not JSON"),
        (many_attributes(), "attributes of its members take more than"),
        (of_docker(config=b'{"rootfs": {"diff_ids": ["' + b"x" * 9 + b'"]}}', path="c.json"), "digest"),
    ],
)
def test_what_cannot_be_trusted_gets_no_name(other: Workspace, archive: bytes, problem: str) -> None:
    with pytest.raises(MinidockError, match=problem):
        load(other, io.BytesIO(archive))
    assert other.store.images.list() == ()


def test_a_changed_blob_of_a_layout_is_refused(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    built(ws, tmp_path, "app:1")
    archive = saved(ws, "app:1")
    with pytest.raises(BlobCorrupt):
        load(other, io.BytesIO(archive.replace(b"content", b"hostile")))
    with pytest.raises(MinidockError, match=r"ends|early|middle"):
        load(other, io.BytesIO(archive[:3000]))
    assert other.store.images.list() == ()


def test_a_layout_on_disk_is_a_named_context(ws: Workspace, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM base:1\nCOPY f /\n", "f": "content"})
    output = Output("oci", str(tmp_path / "layout"), {"tar": "false"})
    first = run_build(ws, context, tags=("app:1",), outputs=Outputs((output,)))
    (context / "Dockerfile").write_text("FROM from-disk\n")
    for value in ("layout", "layout:1"):
        again = run_build(ws, context, contexts={"from-disk": f"oci-layout://{tmp_path}/{value}"})
        assert again.image_id == first.image_id
    with pytest.raises(MinidockError, match="no such image"):
        run_build(ws, context, contexts={"from-disk": f"oci-layout://{tmp_path}/layout:2"})


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_archives_of_skopeo_are_loaded(ws: Workspace, other: Workspace, tmp_path: Path, kind: str) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    image_id = built(ws, tmp_path, "app:1")
    (tmp_path / "ours.tar").write_bytes(saved(ws, "app:1"))
    theirs = tmp_path / "theirs.tar"
    command = ["skopeo", "--insecure-policy", "copy", f"docker-archive:{tmp_path}/ours.tar", f"{kind}:{theirs}:app:1"]
    subprocess.run(command, check=True, capture_output=True)
    with theirs.open("rb") as stream:
        assert load(other, stream) == (Loaded(image_id, "app:1"),)
    assert content_of(other, image_id, "f") == b"content"


def of_oci(
    *,
    config: bytes = CONFIG,
    layer: bytes = LAYER,
    layer_type: str = "application/vnd.oci.image.layer.v1.tar",
    manifest: Callable[[str], str] = str,
    index: Callable[[str], str] = str,
    **wrong: object,
) -> bytes:
    """Return the archive of a layout in which single things are wrong; a number is a wrong size."""

    def described(data: bytes, kind: str, size: object = None) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return {"mediaType": kind, "digest": digest, "size": len(data) if size is None else size}

    kind = "application/vnd.oci.image.manifest.v1+json"
    members = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": described(config, "application/vnd.oci.image.config.v1+json", wrong.get("config_size")),
        "layers": [described(layer, layer_type, wrong.get("layer_size"))],
    }
    document = manifest(json.dumps(members)).encode()
    top = {"schemaVersion": 2, "manifests": [described(document, str(wrong.get("kind", kind)), wrong.get("size"))]}
    blobs = [(member(f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"), data) for data in (config, layer, document)]
    texts = [("oci-layout", '{"imageLayoutVersion": "1.0.0"}'), ("index.json", index(json.dumps(top)))]
    return root_tar([*((member(name), text.encode()) for name, text in texts), *blobs])


def swap(old: str, new: str) -> Callable[[str], str]:
    """Return a function that changes a document, which has ``old`` in it."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def test_a_layout_that_others_wrote_is_loaded(other: Workspace) -> None:
    for archive in (
        of_oci(),
        of_oci(manifest=swap('"mediaType": "application/vnd.oci.image.manifest.v1+json", ', "")),
        of_oci(manifest=swap('"layers"', '"annotations": {"a": "1", "A": "2"}, "unknown": {"x": 1}, "layers"')),
        of_oci(layer=gzip.compress(LAYER), layer_type="application/vnd.oci.image.layer.v1.tar+gzip"),
        of_oci(layer=lzma.compress(LAYER), layer_type="application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ):
        assert load(other, io.BytesIO(archive)) == (Loaded(Digest(CONFIG_HEX)),)


@pytest.mark.parametrize(
    ("archive", "problem"),
    [
        (of_oci(size=7), "bytes, not 7"),
        (of_oci(config_size=7), "bytes, not 7"),
        (of_oci(layer_size=7), "bytes, not 7"),
        (of_oci(layer_size=-1), "malformed descriptor"),
        (of_oci(layer=LAYER + b"x" * 512), "damaged: its bytes have the digest"),
        (of_oci(layer_type="application/vnd.oci.image.layer.nondistributable.v1.tar"), "is not supported"),
        (of_oci(layer_type="text/plain"), "is not supported"),
        (of_oci(kind="application/vnd.oci.image.index.v1+json"), "in a manifest that is said to be"),
        (of_oci(manifest=swap('"layers"', '"manifests": [], "layers"')), "not the manifest of one image"),
        (of_oci(manifest=swap('"layers"', '"layers": [], "layers"')), "'layers' is there twice"),
        (of_oci(manifest=swap('"config"', '"Config": {}, "config"')), "'Config' could be taken for 'config'"),
        (of_oci(manifest=swap('"digest"', '"DIGEST": "x", "digest"')), "'DIGEST' could be taken for 'digest'"),
        (of_oci(manifest=swap('"layers"', '"\u017fubject": {}, "layers"')), "could be taken for 'subject'"),
        (of_oci(manifest=swap("[", "{}, [")), "not JSON"),
        (of_oci(manifest=lambda text: "[" * 100_000), "not JSON"),
        (of_oci(manifest=lambda text: f"[{text}]"), "not an object"),
        (of_oci(manifest=swap("sha256:", "sha256:../../../etc/passwd")), "digest"),
        (of_oci(manifest=swap("sha256:", "SHA256:")), "digest"),
        (of_oci(index=swap('"manifests"', '"layers": [], "manifests"')), "could be the manifest of an image"),
        (of_oci(index=swap('"manifests"', '"manifests": [], "manifests"')), "'manifests' is there twice"),
        (of_oci(index=swap('"mediaType"', '"mediatype": "x", "mediaType"')), "could be taken for 'mediaType'"),
        (of_oci(config=CONFIG.replace(b'"rootfs"', b'"rootFS": {}, "rootfs"')), "could be taken for 'rootfs'"),
        (of_oci(config=CONFIG.replace(b'"rootfs"', b'"os": "linux", "rootfs"')), "'os' is there twice"),
        (of_oci(config=CONFIG.replace(b'"more"', b'"history": [{}, {}], "more"')), "2 history entries with a layer"),
        (of_oci(config=CONFIG.replace(b'"more"', b'"history": [1], "more"')), "has another type than it should"),
        (of_oci(config=CONFIG.replace(b'"layers"', b"7").replace(b'"rootfs": {', b'"rootfs": [{')[:-2]), "not JSON"),
        (of_oci(config=CONFIG.replace(b'"more"', b'"config": {"Env": ["NAME"]}, "more"')), "without '='"),
        (of_oci(config=b'{"rootfs": 7}'), "has another type than it should"),
        (of_oci(config=CONFIG + b" " * (4 << 20)), "not at most|bytes, not"),
        (of_oci(index=lambda text: text + " " * (4 << 20)), "not at most"),
        (of_oci().replace(b"content", b"CONTENT"), "damaged"),
        (of_docker().replace(b"content", b"CONTENT"), "damaged"),
        (root_tar([link("index.json", "/etc/passwd"), link("oci-layout", "/etc/passwd")]), "holds no images"),
        (root_tar([(member("oci-layout"), b"{}"), directory("index.json")]), "holds no file index.json"),
        (root_tar([member(f"n{number}") for number in range(30)]) * 2, "holds no images"),
    ],
)  # fmt: skip
def test_a_layout_that_could_mean_something_else_is_refused(other: Workspace, archive: bytes, problem: str) -> None:
    with pytest.raises(MinidockError, match=problem):
        load(other, io.BytesIO(archive))
    assert other.store.images.list() == ()
    check_consistent(other.store)


def test_an_archive_with_two_lists_of_images_has_the_same_in_both(
    ws: Workspace, other: Workspace, tmp_path: Path
) -> None:
    built(ws, tmp_path, "app:1")
    archive = saved(ws, "app:1")
    config = images.find(ws, "app:1").image_id.hex
    assert archive.count(f'"Config":"blobs/sha256/{config}"'.encode()) == 1
    key = b'"Config":"blobs/sha256/'
    for another in (b"0" * 64, images.find(ws, "base:1").image_id.hex.encode()):
        changed = archive.replace(key + config.encode(), key + another)
        with pytest.raises(MinidockError, match="tell of different images"):
            load(other, io.BytesIO(changed))
    assert other.store.images.list() == ()


def of_platforms(listed: str, *kept: str) -> bytes:
    """Return an archive as docker saves an image for several platforms: `listed` in manifest.json, `kept` there."""
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, kind: str, **more: object) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        known = {"mediaType": f"application/vnd.oci.image.{kind}+json", "digest": f"sha256:{digest}", "size": len(data)}
        return known | more

    layer = blob(LAYER, "layer.v1.tar") | {"mediaType": "application/vnd.oci.image.layer.v1.tar"}
    rows, offered = {}, []
    for name in dict.fromkeys((architecture(), OTHER)):
        config = blob(json.dumps(json.loads(CONFIG) | {"architecture": name}).encode(), "config.v1")
        document = json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode()
        item = blob(document, "manifest.v1", platform={"os": "linux", "architecture": name})
        rows[name], offered = str(config["digest"]).removeprefix("sha256:"), [*offered, item]
        if name not in kept:
            del blobs[rows[name]], blobs[str(item["digest"]).removeprefix("sha256:")]
    whole = blob(json.dumps({"schemaVersion": 2, "manifests": offered}).encode(), "index.v1")
    top = {"schemaVersion": 2, "manifests": [whole | {"annotations": {FULL_NAME: "docker.io/library/app:1"}}]}
    paths = [f"blobs/sha256/{hashlib.sha256(LAYER).hexdigest()}"]
    row = {"Config": f"blobs/sha256/{rows.get(listed, listed)}", "RepoTags": ["app:1"], "Layers": paths}
    texts = {"oci-layout": {"imageLayoutVersion": "1.0.0"}, "index.json": top, "manifest.json": [row]}
    files = [(member(f"blobs/sha256/{name}"), data) for name, data in blobs.items()]
    return root_tar([*((member(name), json.dumps(value).encode()) for name, value in texts.items()), *files])


@pytest.mark.parametrize("listed", [architecture(), OTHER])
def test_an_image_for_several_platforms_may_be_listed_with_any_of_them(other: Workspace, listed: str) -> None:
    loaded = load(other, io.BytesIO(of_platforms(listed, architecture(), OTHER)))
    assert [item.name for item in loaded] == ["app:1"]
    assert images.load(other, loaded[0].image_id).config.architecture == architecture()


@pytest.mark.parametrize("wanted", [(OTHER,), ("s390x", OTHER), (OTHER, architecture()), (architecture(), OTHER)])
def test_the_first_platform_that_is_there_is_loaded(other: Workspace, wanted: tuple[str, ...]) -> None:
    archive = io.BytesIO(of_platforms(OTHER, architecture(), OTHER))
    loaded = load(other, archive, [Platform("linux", name) for name in wanted])
    expected = next(name for name in wanted if name != "s390x")
    assert [images.load(other, item.image_id).config.architecture for item in loaded] == [expected]


def test_a_platform_that_is_not_there_is_named(other: Workspace) -> None:
    with pytest.raises(MinidockError, match="the archive holds no image for linux/s390x"):
        load(other, io.BytesIO(of_platforms(OTHER, architecture(), OTHER)), [Platform("linux", "s390x")])
    with pytest.raises(MinidockError, match="app:1 was found but does not provide the specified platform"):
        load(other, io.BytesIO(of_platforms(OTHER, OTHER)), [this_platform()])
    assert other.store.images.list() == ()


def test_one_platform_saved_with_the_index_of_all_is_loaded(other: Workspace) -> None:
    loaded = load(other, io.BytesIO(of_platforms(OTHER, OTHER)))
    assert images.load(other, loaded[0].image_id).config.architecture == OTHER


def test_what_is_listed_is_one_of_the_platforms(other: Workspace) -> None:
    with pytest.raises(MinidockError, match="tell of different images"):
        load(other, io.BytesIO(of_platforms("0" * 64, architecture(), OTHER)))
    assert other.store.images.list() == ()


def test_nobody_gives_an_image_the_digest_of_another(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    pinned = f"base@{Digest.sha256(b'what somebody else has checked')}"
    with pytest.raises(MinidockError, match="invalid name of an image in the archive: refusing to create a tag"):
        load(other, io.BytesIO(of_docker(tag=pinned)))
    for name in (FULL_NAME, REF_NAME):
        index = swap('"size"', json.dumps({"annotations": {name: pinned}})[1:-1] + ', "size"')
        assert [item.name for item in load(other, io.BytesIO(of_oci(index=index)))] == [""]
    with pytest.raises(NoSuchImage):
        images.find(other, pinned)
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM base:1\n"})
    for give in (
        lambda: images.tag(ws, "base:1", pinned),
        lambda: import_image(ws, io.BytesIO(base_tar()), ImportRequest(pinned)),
        lambda: run_build(ws, context, tags=(pinned,)),
        lambda: run_build(ws, context, outputs=Outputs((Output("image", "", {"name": pinned}),))),
    ):
        with pytest.raises(MinidockError, match="refusing to create a tag with a digest reference"):
            give()


def test_a_name_leads_to_the_same_image_in_both_lists(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    built(ws, tmp_path, "app:1")
    archive = saved(ws, "app:1", "base:1")
    assert archive.count(b'"RepoTags":["app:1"]') == archive.count(b'"RepoTags":["base:1"]') == 1
    swapped = (
        archive.replace(b'["app:1"]', b'["?"]').replace(b'["base:1"]', b'["app:1"]').replace(b'["?"]', b'["base:1"]')
    )
    with pytest.raises(MinidockError, match="tell of different images"):
        load(other, io.BytesIO(swapped))
    assert other.store.images.list() == ()
    assert len(load(other, io.BytesIO(archive))) == 2


def test_blobs_of_a_layout_on_disk_are_files(ws: Workspace, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    subprocess.run(["tar", "-xf", "-", "--one-top-level=layout"], input=of_oci(), cwd=tmp_path, check=True)
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM from-disk\n"})
    blob = layout / "blobs/sha256" / hashlib.sha256(LAYER).hexdigest()
    (tmp_path / "outside").write_bytes(blob.read_bytes())
    blob.unlink()
    for make, problem in (
        (lambda: blob.symlink_to(tmp_path / "outside"), "symbolic"),
        (lambda: os.mkfifo(blob), "not a file"),
    ):
        make()
        with pytest.raises(MinidockError, match=problem):
            run_build(ws, context, contexts={"from-disk": f"oci-layout://{layout}"})
        blob.unlink()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_elsewhere_is_not_taken_for_the_stores(ws: Workspace) -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(MinidockError) as caught:
        save(ws, ["base:1"], TarSink(told(full.write, "/dev/stdout")))
    assert str(caught.value) == "write /dev/stdout: no space left on device"


def test_a_full_device_is_named(ws: Workspace) -> None:
    with pytest.raises(MinidockError) as caught, replacing("/dev/full") as out:
        save(ws, ["base:1"], TarSink(told(out.write, "/dev/full")))
    assert str(caught.value) == "write /dev/full: no space left on device"
    with pytest.raises(MinidockError) as caught, replacing("/dev/full") as out:
        out.write(b"a little, which is written at the end only")
    assert str(caught.value) == "write /dev/full: no space left on device"


class Endless(io.RawIOBase):
    """A stream of the same bytes without an end; ``size`` counts what was read."""

    def __init__(self, block: bytes) -> None:
        self.block = block
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        size = min(len(buffer), len(self.block))
        buffer[:size] = self.block[:size]
        self.size += size
        return size


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (bytes(4096), "the archive holds no images: it is an empty tar"),
        (b"y\n" * 2048, "not a tar archive: there is no header"),
    ],
)
def test_what_is_no_archive_is_not_read_to_its_end(other: Workspace, block: bytes, problem: str) -> None:
    stream = Endless(block)
    with pytest.raises(MinidockError, match=problem):
        load(other, io.BufferedReader(stream))
    assert stream.size < 1 << 20
    assert os.listdir(other.store.layout.path("tmp")) == []


def test_what_happens_to_images_is_told(ws: Workspace, other: Workspace) -> None:
    images.tag(ws, "base:1", "second:2")
    data = saved(ws, "second:2")
    load(other, io.BytesIO(data))
    image_id = str(images.find(ws, "base:1").image_id)

    def told(found: Workspace) -> list[tuple[str, str, str]]:
        log = EventReader(found.store.layout.root).events()
        return [
            (event["Action"], event["Actor"]["ID"], event["Actor"]["Attributes"]["name"])
            for event in log
            if event["Type"] == "image"
        ]

    assert told(ws)[-2:] == [("tag", image_id, "second:2"), ("save", image_id, image_id)]
    assert told(other) == [("load", image_id, image_id)]


def test_an_image_without_history_is_built_on(other: Workspace, tmp_path: Path) -> None:
    load(other, io.BytesIO(of_docker()))
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM theirs:1\nENV a=b\nCOPY f /g\n", "f": "new"})
    built = run_build(other, context)
    assert [entry.created_by for entry in images.load(other, built.image_id).config.history] == [
        "",
        "ENV a=b",
        "COPY f /g # buildkit",
    ]
    check_consistent(other.store)
