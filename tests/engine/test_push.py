"""Pushing to a real registry on loopback: what is there afterwards, and what a second push does not do again."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from minidock.core import mediatype
from minidock.core.build_options import Output
from minidock.core.digest import Digest
from minidock.core.packing import USUAL, Compression
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.transfers import Transfer, TransferNote, TransferState
from minidock.engine import images
from minidock.engine.build import build
from minidock.engine.collect import remove_image
from minidock.engine.outputs import Outputs
from minidock.engine.preparing import BuildRequest
from minidock.engine.pull import pull
from minidock.engine.push import Pushed, push, push_all
from minidock.engine.workspace import Workspace, open_workspace
from minidock.errors import BlobCorrupt, MinidockError, RegistryError
from minidock.registry.registries import Registries
from tests.cutting_proxy import cutting_proxy
from tests.engine.building import (
    check_consistent,
    content_of,
    import_base,
    member,
    root_tar,
    run_build,
    workspace,
    write_context,
)
from tests.registry_server import Image, Server, make_image, registry_server, upload

LARGE = random.Random(1).randbytes(100_000) * 60  # more than what is packed in memory
DOCKERFILE = "FROM base:1\nCOPY large /large\nENV A=b\nCOPY small /small\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry")) as found:
        yield found


@dataclass
class Pusher:
    """A user of a registry, and a store."""

    ws: Workspace
    server: Server
    registries: Registries

    def name(self, name: str) -> str:
        return f"{self.server.domain}/{name}"

    def build(self, place: Path, name: str, dockerfile: str = DOCKERFILE) -> Digest:
        """Build an image of a large and a small layer on a base."""
        context = write_context(place, {"Dockerfile": dockerfile, "large": LARGE, "small": "small"})
        return run_build(self.ws, context, tags=(self.name(name),), source_date_epoch=1).image_id

    def push(self, name: str, compression: Compression = USUAL) -> tuple[Pushed, list[str]]:
        """Push and return what docker would print, layers sorted."""
        told: list[Transfer] = []
        reference = Reference.parse(self.name(name))
        pushed = push(self.ws, self.registries, reference, told.append, compression=compression)
        return pushed, sorted({event.text for event in told if isinstance(event, TransferState) and event.is_last})

    def pulled(self, name: str, store: Path) -> tuple[Workspace, Digest, Digest]:
        """Pull into an empty store; return that, image ID and digest."""
        ws = open_workspace(str(store))
        done = pull(ws, self.registries, Reference.parse(self.name(name)), lambda event: None)
        return ws, done.image_id, done.digest

    def uploads(self, repository: str) -> int:
        """Return how many requests have written blobs of a repository so far."""
        log = (self.server.place / "log").read_text()
        return len(re.findall(rf'"(?:POST|PATCH|PUT) /v2/{re.escape(repository)}/blobs', log))


@pytest.fixture
def pusher(server: Server, tmp_path: Path) -> Iterator[Pusher]:
    registries = server.registries(tmp_path / "home")
    ws = workspace(tmp_path / "store")
    import_base(ws)
    yield Pusher(ws, server, registries)
    registries.close()


def blobs_of(ws: Workspace) -> set[str]:
    return set(os.listdir(ws.store.layout.path("blobs", "sha256")))


def unpack_zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


@pytest.mark.parametrize(
    ("compression", "kind", "unpack"),
    [
        (USUAL, mediatype.LAYER_GZIP, gzip.decompress),
        (Compression("gzip", 9), mediatype.LAYER_GZIP, gzip.decompress),
        (Compression("zstd"), mediatype.LAYER_ZSTD, unpack_zstd),
        (Compression("uncompressed"), mediatype.LAYER, bytes),
    ],
    ids=["gzip", "gzip-9", "zstd", "uncompressed"],
)  # fmt: skip
def test_what_was_built_and_pushed_comes_back_as_the_same_image(
    pusher: Pusher, tmp_path: Path, compression: Compression, kind: str, unpack: object
) -> None:
    name = f"built-{compression.label}:1"
    image_id = pusher.build(tmp_path / "context", name)
    before = blobs_of(pusher.ws)
    pushed, said = pusher.push(name, compression)
    assert said == ["Pushed"]
    assert blobs_of(pusher.ws) == before  # the packed bytes have gone
    other, pulled_id, digest = pusher.pulled(name, tmp_path / "other")
    assert (pulled_id, digest) == (image_id, pushed.manifest.digest)
    manifest = images.stored(other, images.load(other, image_id))[1]
    assert {layer.media_type for layer in manifest.layers} == {kind}
    for layer, diff_id in zip(manifest.layers, images.load(other, image_id).config.diff_ids, strict=True):
        data = Path(other.store.layout.blob(layer.digest)).read_bytes()
        assert Digest.sha256(unpack(data)) == diff_id  # type: ignore[operator]
        assert data[4:8] == bytes(4) or kind != mediatype.LAYER_GZIP  # no time in it
    check_consistent(pusher.ws.store)


def test_a_push_tells_what_docker_tells_and_the_image_knows_where_it_is(pusher: Pusher, tmp_path: Path) -> None:
    image_id = pusher.build(tmp_path / "context", "told:1")
    told: list[Transfer] = []
    pushed = push(pusher.ws, pusher.registries, Reference.parse(pusher.name("told:1")), told.append)
    layers = [diff_id.short for diff_id in images.load(pusher.ws, image_id).config.diff_ids]
    notes = [event.text for event in told if isinstance(event, TransferNote)]
    size = len(pusher.registries.repository(pushed.reference).manifest("1").data)
    assert notes == [
        f"The push refers to repository [{pusher.name('told')}]",
        f"1: digest: {pushed.manifest.digest} size: {size}",
    ]
    states = [(event.item, event.text) for event in told if isinstance(event, TransferState)]
    assert states[:3] == [(layer, "Preparing") for layer in reversed(layers)]
    assert sorted(states[3:]) == sorted((layer, "Pushed") for layer in layers)
    assert images.find(pusher.ws, f"{pusher.name('told')}@{pushed.manifest.digest}").image_id == image_id


def test_a_second_push_uploads_nothing(pusher: Pusher, tmp_path: Path) -> None:
    pusher.build(tmp_path / "context", "twice:1")
    first, _ = pusher.push("twice:1")
    count = pusher.uploads("twice")
    images.tag(pusher.ws, pusher.name("twice:1"), pusher.name("twice:2"))
    for tag in ("1", "2"):
        again, said = pusher.push(f"twice:{tag}")
        assert (again.manifest, said) == (first.manifest, ["Layer already exists"])
    assert pusher.uploads("twice") == count


def test_another_repository_of_the_registry_gives_its_layers(pusher: Pusher, tmp_path: Path) -> None:
    pusher.build(tmp_path / "context", "team/first:1")
    first, _ = pusher.push("team/first:1")
    images.tag(pusher.ws, pusher.name("team/first:1"), pusher.name("second:1"))
    second, said = pusher.push("second:1")
    assert (second.manifest, said) == (first.manifest, ["Mounted from team/first"])
    assert pusher.pulled("second:1", tmp_path / "other")[2] == first.manifest.digest


def test_two_machines_make_the_same_manifest(pusher: Pusher, tmp_path: Path) -> None:
    pusher.build(tmp_path / "context", "mine:1")
    other = Pusher(workspace(tmp_path / "elsewhere"), pusher.server, pusher.registries)
    import_base(other.ws)
    other.build(tmp_path / "context", "theirs:1")
    assert pusher.push("mine:1")[0].manifest == other.push("theirs:1")[0].manifest


@pytest.mark.parametrize("options", [{}, {"is_of_docker": True}, {"is_plain": True}])
def test_a_pulled_image_goes_elsewhere_unchanged(pusher: Pusher, options: dict[str, bool]) -> None:
    image = make_image(({"a": b"1" * 5000}, {"b": b"2"}), **options)
    name = f"came{len(options)}{'plain' if 'is_plain' in options else ''}"
    upload(pusher.registries, pusher.name(f"{name}:1"), image)
    pull(pusher.ws, pusher.registries, Reference.parse(pusher.name(f"{name}:1")), lambda event: None)
    with registry_server(pusher.server.place / f"second-{name}") as second:
        images.tag(pusher.ws, pusher.name(f"{name}:1"), f"{second.domain}/went:1")
        elsewhere = Pusher(pusher.ws, second, second.registries(pusher.server.place / "home"))
        pushed, said = elsewhere.push("went:1", Compression("zstd"))
        assert (str(pushed.manifest.digest), said) == (image.digest, ["Pushed"])
        found = elsewhere.registries.repository(pushed.reference).manifest("1")
        assert (found.data, found.descriptor.media_type) == (image.manifest, image.media_type)
        elsewhere.registries.close()


def on_pulled_base(pusher: Pusher, place: Path, name: str) -> Image:
    """Build an image on a base that was pulled; return that."""
    base = make_image([{"etc/base": name.encode() * 500}])
    upload(pusher.registries, pusher.name(f"base-{name}:1"), base)
    pull(pusher.ws, pusher.registries, Reference.parse(pusher.name(f"base-{name}:1")), lambda event: None)
    pusher.build(place, f"{name}:1", f"FROM {pusher.name(f'base-{name}:1')}\nCOPY small /small\n")
    return base


def layers_at(pusher: Pusher, name: str) -> list[tuple[str, str]]:
    reference = Reference.parse(pusher.name(name))
    manifest = json.loads(pusher.registries.repository(reference).manifest(str(reference.tag)).data)
    return [(layer["mediaType"], layer["digest"]) for layer in manifest["layers"]]


def test_the_layers_of_a_pulled_base_stay_as_they_came(pusher: Pusher, tmp_path: Path) -> None:
    base = on_pulled_base(pusher, tmp_path / "context", "kept")
    _, said = pusher.push("kept:1", Compression("zstd"))
    assert said == ["Mounted from base-kept", "Pushed"]
    (kind, digest), (own, _) = layers_at(pusher, "kept:1")
    assert (kind, digest, own) == (mediatype.LAYER_GZIP, next(iter(base.blobs)), mediatype.LAYER_ZSTD)
    pusher.push("kept:1", Compression("zstd", is_forced=True))
    assert [kind for kind, _ in layers_at(pusher, "kept:1")] == [mediatype.LAYER_ZSTD] * 2


def test_a_base_that_is_gone_is_packed_anew_where_nobody_has_it(pusher: Pusher, tmp_path: Path) -> None:
    base = on_pulled_base(pusher, tmp_path / "context", "orphan")
    remove_image(pusher.ws, pusher.name("base-orphan:1"), is_forced=False)
    digest = Digest.parse(next(iter(base.blobs)))
    assert not pusher.ws.store.blobs.has(digest)
    _, said = pusher.push("orphan:1")
    assert said == ["Mounted from base-orphan", "Pushed"]
    with registry_server(tmp_path / "second") as second:
        images.tag(pusher.ws, pusher.name("orphan:1"), f"{second.domain}/orphan:1")
        elsewhere = Pusher(pusher.ws, second, second.registries(tmp_path / "home"))
        said = elsewhere.push("orphan:1")[1]
        assert said == ["Pushed"]
        _, image_id, _ = elsewhere.pulled("orphan:1", tmp_path / "other")
        assert image_id == images.find(pusher.ws, pusher.name("orphan:1")).image_id
        elsewhere.registries.close()


def test_all_tags_are_pushed_in_their_order(pusher: Pusher, tmp_path: Path) -> None:
    pusher.build(tmp_path / "context", "tags:b")
    images.tag(pusher.ws, pusher.name("tags:b"), pusher.name("tags:a"))
    images.tag(pusher.ws, pusher.name("tags:b"), pusher.name("tags-of-another:c"))
    done = push_all(pusher.ws, pusher.registries, Reference.parse(pusher.name("tags")), lambda event: None)
    assert [pushed.reference.tag for pushed in done] == ["a", "b"]
    assert pusher.registries.repository(done[0].reference).manifest_digest("a") == done[1].manifest.digest


def test_what_is_not_here_or_for_another_platform_is_not_pushed(pusher: Pusher, tmp_path: Path) -> None:
    for act in (push, push_all):
        with pytest.raises(MinidockError, match=r"An image does not exist locally with the tag: .*/nosuch$"):
            act(pusher.ws, pusher.registries, Reference.parse(pusher.name("nosuch:1")), lambda event: None)
    pusher.build(tmp_path / "context", "here:1")
    wrong = Platform("linux", "s390x")
    with pytest.raises(MinidockError, match=r"does not provide the specified platform \(linux/s390x\)"):
        push(pusher.ws, pusher.registries, Reference.parse(pusher.name("here:1")), lambda event: None, platform=wrong)


@pytest.mark.parametrize("is_pulled", [False, True], ids=["packed", "kept"])
def test_an_upload_that_breaks_is_begun_anew(pusher: Pusher, tmp_path: Path, *, is_pulled: bool) -> None:
    """What is packed on the way, and what goes as it came, whose size the registry knows."""
    content = random.Random(3).randbytes(5_000_000)
    if is_pulled:
        upload(pusher.registries, pusher.name("whole:1"), make_image([{"file": content}]))
        pull(pusher.ws, pusher.registries, Reference.parse(pusher.name("whole:1")), lambda event: None)
    else:
        context = write_context(tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY f /f\n", "f": content})
        run_build(pusher.ws, context, tags=(pusher.name("whole:1"),))
    with cutting_proxy(int(pusher.server.domain.rpartition(":")[2]), limit=2_000_000, times=2) as proxy:
        name = f"127.0.0.1:{proxy.port}/broken-{is_pulled:d}:1"
        images.tag(pusher.ws, pusher.name("whole:1"), name)
        told: list[Transfer] = []
        pushed = push(pusher.ws, pusher.registries, Reference.parse(name), told.append)
    assert proxy.cut == 2
    assert [event.text for event in told if isinstance(event, TransferState)] == [
        "Preparing", "Retrying in 1 second", "Pushed"
    ]  # fmt: skip
    _, _, digest = pusher.pulled(f"broken-{is_pulled:d}:1", tmp_path / "other")
    assert digest == pushed.manifest.digest


@pytest.mark.parametrize("place", [1, 2], ids=["large", "small"])
def test_a_damaged_layer_is_not_pushed(pusher: Pusher, tmp_path: Path, place: int) -> None:
    name = f"damaged{place}:1"
    image_id = pusher.build(tmp_path / "context", name)
    path = Path(pusher.ws.store.layout.blob(images.load(pusher.ws, image_id).config.diff_ids[place]))
    path.chmod(0o600)
    whole = path.read_bytes()
    path.write_bytes(whole[:-600] + b"x" + whole[-599:])
    with pytest.raises(BlobCorrupt):
        pusher.push(name)
    again = Pusher(pusher.ws, pusher.server, pusher.server.registries(tmp_path / "home"))  # those that failed are over
    with pytest.raises(RegistryError):
        again.registries.repository(Reference.parse(pusher.name(name))).manifest("1")
    path.write_bytes(whole)
    again.push(name)
    assert again.pulled(name, tmp_path / "other")[1] == image_id
    again.registries.close()


def test_a_registry_with_passwords_and_certificates_takes_what_who_has_both_pushes(tmp_path: Path) -> None:
    with registry_server(tmp_path / "registry", has_auth=True, has_tls=True) as server:
        settings = f'["{server.domain}"]\nca-file = "{server.certificate}"\n'
        known = Pusher(
            workspace(tmp_path / "store"),
            server,
            server.registries(tmp_path / "known", logged_in=True, settings=settings),
        )
        import_base(known.ws)
        image_id = known.build(tmp_path / "context", "app:1")
        stranger = Pusher(known.ws, server, server.registries(tmp_path / "stranger", settings=settings))
        with pytest.raises(RegistryError, match=r"^unauthorized: authentication required$") as caught:
            stranger.push("app:1")
        assert caught.value.hint == f"`minidock login {server.domain}`, and a repository where you may write"
        careless = Pusher(known.ws, server, server.registries(tmp_path / "careless", logged_in=True))
        with pytest.raises(RegistryError, match="failed to verify certificate"):
            careless.push("app:1")
        pushed, _ = known.push("app:1")
        assert known.pulled("app:1", tmp_path / "other")[1:] == (image_id, pushed.manifest.digest)
        for user in (known, stranger, careless):
            user.registries.close()


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("type=registry", mediatype.LAYER_GZIP),
        ("type=image,push=true,compression=zstd,compression-level=1", mediatype.LAYER_ZSTD),
    ],
)
def test_a_build_pushes_what_it_has_made(pusher: Pusher, tmp_path: Path, output: str, kind: str) -> None:
    context = write_context(tmp_path / "context", {"Dockerfile": DOCKERFILE, "large": LARGE, "small": output})
    names = tuple(pusher.name(f"from-build{len(output)}:{tag}") for tag in (1, 2))
    request = BuildRequest(
        str(context),
        tags=names,
        outputs=Outputs((Output.parse(output),)),
        environment=pusher.server.environment(tmp_path / "home"),
    )
    result = build(pusher.ws, request, lambda event: None)
    assert {kind for kind, _ in layers_at(pusher, f"from-build{len(output)}:2")} == {kind}
    for number in (1, 2):
        name = f"from-build{len(output)}:{number}"
        _, image_id, digest = pusher.pulled(name, tmp_path / f"other{number}")
        assert (image_id, digest) == (result.image_id, result.manifest.digest)
    assert images.find(pusher.ws, names[0]).image_id == result.image_id


def prepared(tmp_path: Path, name: str) -> tuple[Path, Digest]:
    """Return a store with an image of four layers, and its ID."""
    ws = workspace(tmp_path / "made")
    import_base(ws, root_tar([(member("sh"), b"shell")]))
    files = {f"file{number}": random.Random(number).randbytes(6_000_000) for number in range(4)}
    lines = "".join(f"COPY {file} /{file}\n" for file in files)
    context = write_context(tmp_path / "context", {"Dockerfile": f"FROM base:1\n{lines}", **files})
    return tmp_path / "made", run_build(ws, context, tags=(name,)).image_id


def test_an_interrupted_push_ends_at_once_and_names_nothing(server: Server, tmp_path: Path) -> None:
    name = f"{server.domain}/interrupted:1"
    root, image_id = prepared(tmp_path, name)
    user = {**os.environ, **server.environment(tmp_path / "home")}
    words = [sys.executable, "-m", "minidock", "--root", str(root), "push", name]
    process = subprocess.Popen(words, env=user, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "Preparing" not in process.stdout.readline():
        assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, problem = process.communicate(timeout=30)
    assert (problem, process.returncode, time.monotonic() - begun < 2) == ("", 130, True)
    ws = workspace(root)
    assert os.listdir(ws.store.layout.path("tmp")) == []
    registries = server.registries(tmp_path / "home")
    with pytest.raises(RegistryError):
        registries.repository(Reference.parse(name)).manifest("1")
    subprocess.run(words, env=user, check=True, capture_output=True)
    done = pull(open_workspace(str(tmp_path / "other")), registries, Reference.parse(name), lambda event: None)
    assert done.image_id == image_id
    registries.close()


@pytest.mark.slow
def test_a_push_killed_at_any_moment_is_completed_by_the_next_one(server: Server, tmp_path: Path) -> None:
    first = f"{server.domain}/killed:0"
    root, image_id = prepared(tmp_path, first)
    user = {**os.environ, **server.environment(tmp_path / "home")}

    def command(name: str) -> list[str]:
        return [sys.executable, "-m", "minidock", "--root", str(root), "push", "-q", name]

    begun = time.monotonic()
    subprocess.run(command(first), env=user, check=True, capture_output=True)
    whole = time.monotonic() - begun
    registries = server.registries(tmp_path / "home")
    for point in range(12):
        name = f"{server.domain}/killed{point}:1"
        images.tag(workspace(root), first, name)
        for path in (root / "forms").iterdir():
            path.unlink()  # nothing is to be mounted
        process = subprocess.Popen(command(name), env=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * (point + 1) / 13)
        process.kill()
        process.wait()
        check_consistent(workspace(root).store)
        done = subprocess.run(command(name), env=user, check=True, capture_output=True, text=True)
        assert done.stdout == f"{name}\n"
        ws = open_workspace(str(tmp_path / f"other{point}"))
        assert pull(ws, registries, Reference.parse(name), lambda event: None).image_id == image_id
    registries.close()


def test_a_build_for_several_platforms_pushes_an_index_of_them(pusher: Pusher, tmp_path: Path) -> None:
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    text = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /f\n"
    context = write_context(tmp_path / "context", {"Dockerfile": text, "amd64": "of amd64", "arm64": "of arm64"})
    request = BuildRequest(
        str(context),
        tags=(pusher.name("several:1"),),
        platforms=platforms,
        outputs=Outputs((Output("registry"),)),
        environment=pusher.server.environment(tmp_path / "home"),
    )
    result = build(pusher.ws, request, lambda event: None)
    assert result.manifest.media_type == mediatype.INDEX
    assert images.familiar(pusher.name("several:1")) not in [
        item.annotations.get("org.opencontainers.image.ref.name") for item in pusher.ws.store.images.list()
    ]
    reference = Reference.parse(pusher.name("several:1"))
    for platform in platforms:
        ws = workspace(tmp_path / platform.architecture)
        done = pull(ws, pusher.registries, reference, lambda event: None, platform=platform)
        assert content_of(ws, done.image_id, "f") == f"of {platform.architecture}".encode()
        assert images.load(ws, done.image_id).config.architecture == platform.architecture
    manifest = pusher.registries.repository(reference).manifest("1")
    assert (manifest.descriptor.media_type, manifest.descriptor.digest) == (mediatype.INDEX, result.image_id)
    again = build(pusher.ws, request, lambda event: None)
    assert again.image_id == result.image_id
