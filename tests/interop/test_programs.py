"""Archives and the store itself as skopeo, umoci and podman see them, and theirs as we do: whole trees are compared."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minidock.core.build_options import CacheOption
from minidock.core.digest import Digest
from minidock.core.entries import CHAR, FIFO, FILE, SYMLINK
from minidock.engine import images
from minidock.engine.importer import import_tar
from minidock.engine.load import load
from minidock.engine.save import save
from minidock.engine.sinks import TarSink
from minidock.engine.workspace import Workspace
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import import_base, run_build, workspace, write_context
from tests.engine.test_sparse_tars import archive_of
from tests.interop.daemon import dockerd
from tests.interop.programs import program
from tests.interop.test_tar import make_tree
from tests.interop.trees import put_messy_image, told_by_disk, told_by_store
from tests.other_users import public_place
from tests.store.test_tar_sparse import FORMATS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have files of every owner")


@pytest.fixture
def skopeo() -> Callable[..., str]:
    return program("skopeo", "--insecure-policy")


@pytest.fixture
def umoci() -> Callable[..., str]:
    return program("umoci")


@pytest.fixture
def storage() -> Iterator[tuple[str, ...]]:
    """The options by which podman and buildah share images."""
    with public_place() as place:  # they take no long paths
        yield "--root", f"{place}/root", "--runroot", f"{place}/run", "--storage-driver", "vfs"


@pytest.fixture
def podman(storage: tuple[str, ...]) -> Iterator[Callable[..., str]]:
    run = program("podman", *storage, "--tmpdir", f"{Path(storage[1]).parent}/tmp", "--cgroup-manager", "cgroupfs")
    yield run
    run("image", "umount", "--all", "--force")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store", FakeRuntime({}))


@pytest.fixture
def other(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "other", FakeRuntime({}))


@pytest.fixture
def image_id(ws: Workspace) -> Digest:
    return put_messy_image(ws, "messy:1")


@pytest.fixture
def archive(ws: Workspace, image_id: Digest, tmp_path: Path) -> Path:
    with open(tmp_path / "ours.tar", "wb") as out:
        save(ws, ["messy:1"], TarSink(out.write))
    return tmp_path / "ours.tar"


def is_loaded(other: Workspace, ws: Workspace, image_id: Digest, path: Path, *names: str) -> None:
    """Load an archive of ``image_id`` and compare what came with what was there."""
    loaded = load(other, io.BytesIO(path.read_bytes()))
    assert {(item.image_id, item.name) for item in loaded} == {(image_id, name) for name in names or ("messy:1",)}
    assert told_by_store(other, image_id) == told_by_store(ws, image_id)


def test_skopeo_inspects_the_store_itself(ws: Workspace, image_id: Digest, skopeo: Callable[..., str]) -> None:
    told = json.loads(skopeo("inspect", f"oci:{ws.store.layout.root}:messy:1"))
    assert told["Layers"] == [str(diff_id) for diff_id in images.load(ws, image_id).config.diff_ids]
    assert (told["Env"], told["Labels"]) == (["PATH=/bin", "A=ü"], {"k": "v"})
    config = skopeo("inspect", "--config", "--raw", f"oci:{ws.store.layout.root}:messy:1")
    assert Digest.sha256(config.encode()) == image_id


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_what_skopeo_takes_from_the_store_is_loaded(
    ws: Workspace, other: Workspace, image_id: Digest, tmp_path: Path, skopeo: Callable[..., str], kind: str
) -> None:
    theirs = tmp_path / "theirs.tar"
    skopeo("copy", f"oci:{ws.store.layout.root}:messy:1", f"{kind}:{theirs}:messy:1")
    is_loaded(other, ws, image_id, theirs)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_skopeo_compresses_is_loaded(
    ws: Workspace,
    other: Workspace,
    image_id: Digest,
    tmp_path: Path,
    skopeo: Callable[..., str],
    compression: str,
) -> None:
    words = ("--dest-compress", "--dest-compress-format", compression)
    skopeo("copy", *words, f"oci:{ws.store.layout.root}:messy:1", f"oci:{tmp_path}/layout:messy:1")
    subprocess.run(["tar", "-cf", "layout.tar", "-C", "layout", "."], cwd=tmp_path, check=True)
    is_loaded(other, ws, image_id, tmp_path / "layout.tar")


def test_umoci_unpacks_the_same_tree(
    ws: Workspace, image_id: Digest, archive: Path, tmp_path: Path, umoci: Callable[..., str]
) -> None:
    layout = tmp_path / "layout"
    layout.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", layout], check=True)
    assert umoci("ls", "--layout", layout) == "1\n"
    umoci("unpack", "--image", f"{layout}:1", tmp_path / "bundle")
    assert told_by_disk(tmp_path / "bundle/rootfs") == told_by_store(ws, image_id)


def test_podman_loads_the_same_tree(ws: Workspace, image_id: Digest, archive: Path, podman: Callable[..., str]) -> None:
    assert "messy:1" in podman("load", "--input", archive)
    assert podman("image", "inspect", "--format", "{{.Id}}", "messy:1").strip() == image_id.hex
    root = podman("image", "mount", "messy:1").strip()
    assert told_by_disk(Path(root)) == told_by_store(ws, image_id)


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_what_podman_saves_is_loaded(
    ws: Workspace,
    other: Workspace,
    image_id: Digest,
    archive: Path,
    podman: Callable[..., str],
    tmp_path: Path,
    kind: str,
) -> None:
    podman("load", "--input", archive)
    podman("save", "--format", kind, "--output", tmp_path / "theirs.tar", "messy:1")
    is_loaded(other, ws, image_id, tmp_path / "theirs.tar")


# Every layer takes something away from those below, or puts another kind in its place.
_BUILT = """\
FROM scratch
COPY busybox /bin/busybox
COPY --chown=3:4 tree /tree
RUN ["/bin/busybox", "sh", "-ec", "busybox --install /bin; cd /tree; rm a; rm -r long; mkdir a; echo >a/in"]
RUN cd /tree && rm -r sub && mkdir -m 2751 sub && echo new >sub/again && chown 70000:70001 holes && mv null full
RUN cd /tree && mv shut open && rm -r a && mkfifo a && ln sub/again sub/other && ln -s . sub/loop
"""


@pytest.mark.parametrize("builder", ["podman", "buildah"])
def test_what_podman_and_buildah_build_is_loaded(
    other: Workspace, tmp_path: Path, storage: tuple[str, ...], podman: Callable[..., str], builder: str
) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    build = podman if builder == "podman" else program("buildah", *storage)
    context = write_context(tmp_path / "context", {"Dockerfile": _BUILT})
    shutil.copy(busybox, context / "busybox")
    make_tree(context / "tree", "pax")
    build("build", "--isolation", "chroot", "--network", "host", "--layers", "--tag", "localhost/built:1", context)
    expected = told_by_disk(Path(podman("image", "mount", "localhost/built:1").strip()))
    assert {expected[f"tree/{name}"][0] for name in ("a", "sub/loop", "holes", "full")} == {FIFO, SYMLINK, FILE, CHAR}
    for kind in ("docker-archive", "oci-archive"):
        path = tmp_path / f"{kind}.tar"
        podman("save", "--format", kind, "--output", path, "localhost/built:1")
        (loaded,) = load(other, io.BytesIO(path.read_bytes()))
        assert loaded.name == "localhost/built:1"
        assert told_by_store(other, loaded.image_id) == expected
        assert len(images.load(other, loaded.image_id).config.diff_ids) == 5


def test_a_build_cache_travels_with_skopeo(
    other: Workspace, ws: Workspace, tmp_path: Path, skopeo: Callable[..., str]
) -> None:
    for machine in (ws, other):
        import_base(machine)
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM base:1\nCOPY f /\n", "f": "content"})
    here, there = tmp_path / "here", tmp_path / "there"
    written = (CacheOption("local", {"dest": str(here), "compression": "gzip"}),)
    built = run_build(ws, context, cache_to=written)
    skopeo("copy", f"oci:{here}:latest", f"dir:{tmp_path}/way")
    skopeo("copy", f"dir:{tmp_path}/way", f"oci:{there}:latest")
    again = run_build(other, context, cache_from=(CacheOption("local", {"src": str(there)}),), requires_cached=True)
    assert again.image_id == built.image_id
    assert again.outcomes[-1] == "CACHED [2/2] COPY f /"


@pytest.mark.slow
def test_docker_and_we_load_what_the_other_saves(
    ws: Workspace, other: Workspace, image_id: Digest, archive: Path, tmp_path: Path
) -> None:
    with dockerd() as docker:
        assert docker("load", "--input", archive) == "Loaded image: messy:1\n"
        assert docker("image", "inspect", "--format", "{{.Id}}", "messy:1").strip() == str(image_id)
        docker("save", "--output", tmp_path / "theirs.tar", "messy:1")
        name = docker("create", "--network", "none", "messy:1").strip()
        docker("export", "--output", tmp_path / "tree.tar", name)
        docker("rm", name)
    is_loaded(other, ws, image_id, tmp_path / "theirs.tar")
    with open(tmp_path / "tree.tar", "rb") as stream:
        found = told_by_store(other, import_tar(other, stream, None, message=""))
    made = [path for path in found if path.partition("/")[0] in (".dockerenv", "dev", "etc", "proc", "sys")]
    # What docker makes for every container; and its exports leave out attributes of users.
    exported = {path: row[:8] + row[9:] for path, row in found.items() if path not in made}
    assert exported == {path: row[:8] + row[9:] for path, row in told_by_store(ws, image_id).items()}


def test_what_umoci_makes_is_the_tree_that_umoci_unpacks(
    other: Workspace, tmp_path: Path, umoci: Callable[..., str]
) -> None:
    layout = tmp_path / "layout"
    for name in ("one", "two"):
        make_tree(tmp_path / name, "pax")
    umoci("init", "--layout", layout)
    umoci("new", "--image", f"{layout}:1")
    umoci("insert", "--image", f"{layout}:1", tmp_path / "one", "/same")
    umoci("insert", "--image", f"{layout}:1", tmp_path / "two/sub", "/same/sub/more")
    umoci("insert", "--image", f"{layout}:1", "--whiteout", "/same/shut")
    umoci("insert", "--image", f"{layout}:1", "--opaque", tmp_path / "two/sub/deep", "/same/sub/deep")
    umoci("unpack", "--image", f"{layout}:1", tmp_path / "bundle")
    subprocess.run(["tar", "-cf", "layout.tar", "-C", "layout", "."], cwd=tmp_path, check=True)
    (loaded,) = load(other, io.BytesIO((tmp_path / "layout.tar").read_bytes()))
    assert told_by_store(other, loaded.image_id) == told_by_disk(tmp_path / "bundle/rootfs")


@pytest.mark.parametrize("kind", ["0.0", "0.1", "1.0"])  # those of GNU's own format it refuses, as docker does
def test_podman_takes_files_with_holes_as_we_do(
    other: Workspace, tmp_path: Path, podman: Callable[..., str], kind: str
) -> None:
    make_tree(tmp_path / "tree", "pax")
    tar = program("tar")
    tar("--sparse", *FORMATS[kind], "-cf", tmp_path / "layer.tar", "-C", tmp_path / "tree", ".")
    packed = (tmp_path / "layer.tar").read_bytes()
    assert len(packed) < 1 << 20
    load(other, io.BytesIO(archive_of(packed)))
    (tmp_path / "archive.tar").write_bytes(archive_of(packed))
    podman("load", "--input", tmp_path / "archive.tar")
    image_id = images.find(other, "d:1").image_id
    assert podman("image", "inspect", "--format", "{{.Id}}", "d:1").strip() == image_id.hex
    assert told_by_disk(Path(podman("image", "mount", "d:1").strip())) == told_by_store(other, image_id)
