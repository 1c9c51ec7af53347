"""Images that skopeo puts into a real registry, pulled: whole trees are compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minidock.core.digest import Digest
from minidock.core.packing import Compression
from minidock.core.reference import Reference
from minidock.engine import images
from minidock.engine.load_layout import load_layout
from minidock.engine.pull import pull
from minidock.engine.push import push
from minidock.engine.save import save
from minidock.engine.sinks import TarSink
from minidock.engine.workspace import Workspace
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import workspace
from tests.interop.programs import program
from tests.interop.trees import put_messy_image, told_by_store
from tests.registry_server import Server, registry_server

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have files of every owner")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def skopeo() -> Callable[..., str]:
    return program("skopeo", "--insecure-policy")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store", FakeRuntime({}))


@pytest.fixture
def image_id(ws: Workspace) -> Digest:
    return put_messy_image(ws, "messy:1")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain", ()),
        ("gzip", ("--dest-compress-format", "gzip")),
        ("zstd", ("--dest-compress-format", "zstd")),
        ("docker", ("--format", "v2s2")),
    ],
)
def test_what_skopeo_pushed_from_the_store_comes_back(
    server: Server,
    ws: Workspace,
    image_id: Digest,
    tmp_path: Path,
    skopeo: Callable[..., str],
    name: str,
    options: tuple[str, ...],
) -> None:
    full = f"{server.domain}/{name}:1"
    skopeo("copy", "--dest-tls-verify=false", *options, f"oci:{ws.store.layout.root}:messy:1", f"docker://{full}")
    other = workspace(tmp_path / "other", FakeRuntime({}))
    registries = server.registries(tmp_path / "home")
    pulled = pull(other, registries, Reference.parse(full), lambda event: None)
    registries.close()
    assert pulled.image_id == image_id
    assert told_by_store(other, pulled.image_id) == told_by_store(ws, image_id)
    told = skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{full}")
    assert told.strip() == str(pulled.digest)
    if name != "docker":  # skopeo takes no manifest of docker's from a layout
        # And back, by what skopeo finds in the store: the manifest is the registry's own.
        again = f"docker://{server.domain}/{name}:again"
        skopeo("copy", "--dest-tls-verify=false", "--preserve-digests", f"oci:{other.store.layout.root}:{full}", again)
        assert skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", again) == told
    with open(tmp_path / "saved.tar", "wb") as out:
        save(other, [full], TarSink(out.write))
    for kind in ("oci-archive", "docker-archive"):
        skopeo("copy", f"{kind}:{tmp_path}/saved.tar", f"dir:{tmp_path}/{kind}")
        config = skopeo("inspect", "--config", "--raw", f"dir:{tmp_path}/{kind}")
        assert Digest.sha256(config.encode()) == image_id


def test_a_second_name_of_a_pulled_image_is_read_by_skopeo(
    server: Server, ws: Workspace, image_id: Digest, tmp_path: Path, skopeo: Callable[..., str]
) -> None:
    full = f"{server.domain}/base:1"
    skopeo("copy", "--dest-tls-verify=false", f"oci:{ws.store.layout.root}:messy:1", f"docker://{full}")
    other = workspace(tmp_path / "other", FakeRuntime({}))
    registries = server.registries(tmp_path / "home")
    pull(other, registries, Reference.parse(full), lambda event: None)
    registries.close()
    images.tag(other, full, "mine:1")
    skopeo("copy", f"oci:{other.store.layout.root}:mine:1", f"dir:{tmp_path}/dir")
    config = skopeo("inspect", "--config", "--raw", f"dir:{tmp_path}/dir")
    assert Digest.sha256(config.encode()) == image_id


@pytest.mark.parametrize("compression", [Compression("gzip"), Compression("gzip", 6), Compression("zstd")])
def test_what_was_pushed_is_read_by_skopeo(
    server: Server,
    ws: Workspace,
    image_id: Digest,
    tmp_path: Path,
    skopeo: Callable[..., str],
    compression: Compression,
) -> None:
    full = f"{server.domain}/pushed-{compression.label}:1"
    images.tag(ws, "messy:1", full)
    with closing(server.registries(tmp_path / "home")) as registries:
        pushed = push(ws, registries, Reference.parse(full), lambda event: None, compression=compression)
    told = skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{full}")
    assert told.strip() == str(pushed.manifest.digest)
    skopeo("copy", "--src-tls-verify=false", f"docker://{full}", f"oci:{tmp_path}/layout:1")
    other = workspace(tmp_path / "other", FakeRuntime({}))
    with other.store.session() as session:
        found = load_layout(other, session, f"{tmp_path}/layout", "1", "")
        assert found.image_id == image_id
        assert told_by_store(other, found.image_id) == told_by_store(ws, image_id)
