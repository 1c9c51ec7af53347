"""Pulling from a real registry on loopback: with and without authentication and TLS."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from minidock.core import mediatype
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.transfers import Transfer, TransferNote, TransferProgress, TransferState
from minidock.engine import images, prune
from minidock.engine.crew import Crew
from minidock.engine.inspect import inspect_image
from minidock.engine.load import load
from minidock.engine.platforms import this_platform
from minidock.engine.pull import pull, pull_all
from minidock.engine.pull_layers import LayerFetcher
from minidock.engine.remote import inspect_remote
from minidock.engine.save import save
from minidock.engine.sinks import TarSink
from minidock.engine.workspace import Workspace, open_workspace
from minidock.errors import MinidockError, RegistryError, RegistryUnreachable, StorageFull
from minidock.registry.registries import Registries
from minidock.registry.transport import Request
from minidock.store.partial import partial_paths
from tests.cutting_proxy import cutting_proxy
from tests.e2e.disks import mounted_ext4
from tests.registry.memory import Answer, Memory, in_turn, ranged, repository
from tests.registry_server import Image, Server, make_image, make_index, registry_server, tar_of, upload

LAYERS = ({"etc/motd": b"hello\n", "a": b"1" * 5000}, {"b": bytes(range(256)) * 40})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry")) as found:
        yield found


@dataclass
class Puller:
    """A user of a registry, and a store."""

    ws: Workspace
    server: Server
    registries: Registries

    def name(self, name: str) -> str:
        return f"{self.server.domain}/{name}"

    def pull(self, name: str, **wanted: Platform) -> list[str]:
        """Pull and return what is told, a line each, layers sorted."""
        told: list[Transfer] = []
        pull(self.ws, self.registries, Reference.parse(self.name(name)), told.append, **wanted)
        return [event.text for event in told if isinstance(event, TransferNote)]


@pytest.fixture
def puller(server: Server, tmp_path: Path) -> Iterator[Puller]:
    registries = server.registries(tmp_path / "home")
    yield Puller(open_workspace(str(tmp_path / "store")), server, registries)
    registries.close()


def files_of(ws: Workspace, name: str) -> list[str]:
    image = images.find(ws, name)
    return [entry.path for entry in ws.store.layers.tree(image.config.diff_ids).entries() if entry.kind == "file"]


@pytest.mark.parametrize("is_of_docker", [False, True])
def test_a_pulled_image_keeps_its_id_its_manifest_and_its_blobs(puller: Puller, *, is_of_docker: bool) -> None:
    image = make_image(LAYERS, is_of_docker=is_of_docker)
    upload(puller.registries, puller.name("app:1"), image)
    name = puller.name("app:1")
    assert puller.pull("app:1") == [
        "1: Pulling from app",
        f"Digest: {image.digest}",
        f"Status: Downloaded newer image for {name}",
    ]
    found = images.find(puller.ws, name)
    assert (str(found.image_id), found.names) == (image.image_id, (name,))
    assert images.stored(puller.ws, found)[1].to_bytes() == image.manifest
    assert {digest: puller.ws.store.blobs.read(Digest.parse(digest)) for digest in image.blobs} == image.blobs
    assert files_of(puller.ws, name) == ["a", "b", "etc/motd"]
    assert images.find(puller.ws, f"{puller.name('app')}@{image.digest}") == found


def test_a_second_pull_downloads_nothing_and_says_so(puller: Puller) -> None:
    image = make_image(LAYERS)
    upload(puller.registries, puller.name("twice:1"), image)
    puller.pull("twice:1")
    told: list[Transfer] = []
    done = pull(puller.ws, puller.registries, Reference.parse(puller.name("twice:1")), told.append)
    assert (str(done.digest), done.is_new) == (image.digest, False)
    assert told[1:] == [
        TransferNote(f"Digest: {image.digest}"),
        TransferNote(f"Status: Image is up to date for {puller.name('twice:1')}"),
    ]


def test_a_pull_of_what_is_here_already_asks_for_no_manifest(puller: Puller) -> None:
    image, newer = make_image(LAYERS), make_image(LAYERS[:1])
    upload(puller.registries, puller.name("asked:2"), image)
    puller.pull("asked:2")
    log = puller.server.place / "log"
    before = log.read_bytes().count(b'"GET /v2/asked/manifests')
    puller.pull("asked:2")
    assert log.read_bytes().count(b'"GET /v2/asked/manifests') == before
    upload(puller.registries, puller.name("asked:2"), newer)
    assert f"Digest: {newer.digest}" in puller.pull("asked:2")
    blob = puller.ws.store.layout.blob(Digest.parse(next(iter(newer.blobs))))
    os.unlink(blob)
    assert f"Status: Image is up to date for {puller.name('asked:2')}" in puller.pull("asked:2")
    assert os.path.exists(blob)


def test_layers_that_another_image_has_are_not_downloaded(puller: Puller) -> None:
    first, second = make_image(LAYERS[:1]), make_image(LAYERS)
    upload(puller.registries, puller.name("base:1"), first)
    upload(puller.registries, puller.name("more:1"), second)
    puller.pull("base:1")
    told: list[Transfer] = []
    pull(puller.ws, puller.registries, Reference.parse(puller.name("more:1")), told.append)
    shared, own = (Digest.parse(digest).short for digest in list(second.blobs)[:2])
    states = [(event.item, event.text) for event in told if isinstance(event, TransferState)]
    assert states == [
        (shared, "Already exists"),
        (own, "Pulling fs layer"),
        (own, "Download complete"),
        (own, "Pull complete"),
    ]


def test_an_uncompressed_layer_is_stored_once(puller: Puller) -> None:
    image = make_image(LAYERS, is_plain=True)
    upload(puller.registries, puller.name("plain:1"), image)
    puller.pull("plain:1")
    blobs = os.listdir(puller.ws.store.layout.path("blobs", "sha256"))
    assert len(blobs) == len(LAYERS) + 2  # config and manifest


def test_progress_is_told_from_the_first_byte_to_the_last(puller: Puller) -> None:
    image = make_image([{"large": random.Random(8).randbytes(5 << 20)}])
    upload(puller.registries, puller.name("large:1"), image)
    told: list[Transfer] = []
    pull(puller.ws, puller.registries, Reference.parse(puller.name("large:1")), told.append)
    size = len(next(iter(image.blobs.values())))
    for text in ("Downloading", "Extracting"):
        done = [event.done for event in told if isinstance(event, TransferProgress) and event.text == text]
        assert len(done) >= 5 and done == sorted(done) and done[0] <= size // 4 and size * 3 // 4 <= done[-1] <= size


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="no file system of its own")
def test_an_image_that_does_not_fit_is_no_damage(puller: Puller) -> None:
    """Its layer is a thousandth of the size on the way, so that the disk is full only when it is unpacked."""
    image = make_image([{"zeros": bytes(30 << 20)}])
    upload(puller.registries, puller.name("zeros:1"), image)
    with mounted_ext4(24 << 20) as disk:
        ws = open_workspace(str(disk / "store"))
        with pytest.raises(StorageFull, match="no space left on device"):
            pull(ws, puller.registries, Reference.parse(puller.name("zeros:1")), lambda event: None)
        assert ws.store.images.list() == ()
        assert os.listdir(ws.store.layout.path("tmp")) == []


def test_the_platform_chooses_from_an_index(puller: Puller) -> None:
    own = make_image(LAYERS, architecture=this_platform().architecture)
    other = make_image(LAYERS[:1], architecture="riscv64")
    for image in (own, other):
        upload(puller.registries, puller.name("many:x"), image)
    index = make_index({this_platform().architecture: own, "riscv64": other})
    repository = puller.registries.repository(Reference.parse(puller.name("many:1")))
    digest = repository.put_manifest("1", "application/vnd.oci.image.index.v1+json", index)
    assert f"Digest: {digest}" in puller.pull("many:1")
    assert str(images.find(puller.ws, puller.name("many:1")).image_id) == own.image_id
    puller.pull("many:1", platform=Platform.parse("linux/riscv64", this_platform()))
    assert str(images.find(puller.ws, puller.name("many:1")).image_id) == other.image_id
    with pytest.raises(MinidockError, match="no matching manifest for linux/s390x in the manifest list entries"):
        puller.pull("many:1", platform=Platform.parse("linux/s390x", this_platform()))


def test_what_a_registry_says_of_an_image_is_what_the_store_says_after_a_pull(puller: Puller) -> None:
    image = make_image(LAYERS)
    upload(puller.registries, puller.name("asked:1"), image)
    told = inspect_remote(puller.registries, puller.name("asked:1"))
    assert told.pop("Manifest") == json.loads(image.manifest)
    assert told.pop("Size") == sum(map(len, image.blobs.values()))
    assert not puller.ws.store.exists
    puller.pull("asked:1")
    known = inspect_image(puller.ws, puller.name("asked:1"))
    del known["Size"]
    assert told == known


def test_all_tags_of_a_repository_are_pulled(puller: Puller) -> None:
    made = {f"v{number}": make_image([{"file": b"%d" % number}]) for number in range(5)}
    for tag, image in made.items():
        upload(puller.registries, puller.name(f"tags:{tag}"), image)
    told: list[Transfer] = []
    done = pull_all(puller.ws, puller.registries, Reference.parse(puller.name("tags")), told.append)
    assert [str(item.image_id) for item in done] == [image.image_id for image in made.values()]
    assert told[-1] == TransferNote(f"Status: Downloaded newer image for {puller.name('tags')}")
    assert sorted(images.find(puller.ws, puller.name(f"tags:{tag}")).names[0][-2:] for tag in made) == sorted(made)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nosuch:1", "pull access denied for .*/nosuch, repository does not exist or may require|not found"),
        (f"app@sha256:{'0' * 64}", "not found: manifest unknown"),
    ],
)
def test_what_a_registry_does_not_have_is_said_in_dockers_words(puller: Puller, name: str, problem: str) -> None:
    upload(puller.registries, puller.name("app:1"), make_image(LAYERS))
    with pytest.raises(RegistryError, match=problem):
        puller.pull(name)
    assert not puller.ws.store.exists or puller.ws.store.images.list() == ()


def damage(server: Server, image: Image, change: bytes) -> None:
    """Give the first layer of an image another content in the files of the registry."""
    digits = next(iter(image.blobs)).removeprefix("sha256:")
    path = server.place / "data/docker/registry/v2/blobs/sha256" / digits[:2] / digits / "data"
    path.write_bytes(change)


@pytest.mark.parametrize("change", ["flipped", "cut", "longer"])
def test_a_damaged_layer_never_gets_into_the_store(puller: Puller, tmp_path: Path, change: str) -> None:
    image = make_image([{change: random.Random(change).randbytes(70_000)}])
    upload(puller.registries, puller.name(f"{change}:1"), image)
    good = next(iter(image.blobs.values()))
    bad = {"flipped": good[:-9] + b"x" + good[-8:], "cut": good[:-10], "longer": good + b"x"}[change]
    damage(puller.server, image, bad)
    with pytest.raises(RegistryError):
        puller.pull(f"{change}:1")
    assert puller.ws.store.images.list() == ()
    assert os.listdir(puller.ws.store.layout.path("blobs", "sha256")) == []
    damage(puller.server, image, good)
    puller.registries = puller.server.registries(tmp_path / "home")  # those that failed are over
    puller.pull(f"{change}:1")
    puller.registries.close()
    assert files_of(puller.ws, puller.name(f"{change}:1")) == [change]


def test_a_registry_with_passwords_lets_in_who_has_one(tmp_path: Path) -> None:
    with registry_server(tmp_path / "registry", has_auth=True) as server:
        known = server.registries(tmp_path / "known", logged_in=True)
        image = make_image(LAYERS)
        upload(known, f"{server.domain}/app:1", image)
        ws = open_workspace(str(tmp_path / "store"))
        reference = Reference.parse(f"{server.domain}/app:1")
        stranger = server.registries(tmp_path / "stranger")
        with pytest.raises(RegistryError, match=r"pull access denied.* may require 'minidock login'"):
            pull(ws, stranger, reference, lambda event: None)
        assert str(pull(ws, known, reference, lambda event: None).image_id) == image.image_id
        known.close()
        stranger.close()


def test_certificates_are_checked_unless_settings_say_otherwise(tmp_path: Path) -> None:
    with registry_server(tmp_path / "registry", has_tls=True) as server:
        table = f'["{server.domain}"]\n'
        warnings: list[str] = []
        users = {
            "trusting": server.registries(tmp_path / "a", settings=f'{table}ca-file = "{server.certificate}"\n'),
            "careless": server.registries(tmp_path / "b", settings=f"{table}verify = false\n", warn=warnings.append),
            "strict": server.registries(tmp_path / "c"),
        }
        image = make_image(LAYERS)
        upload(users["trusting"], f"{server.domain}/app:1", image)
        reference = Reference.parse(f"{server.domain}/app:1")
        for name in ("trusting", "careless"):
            ws = open_workspace(str(tmp_path / name))
            assert str(pull(ws, users[name], reference, lambda event: None).image_id) == image.image_id
        with pytest.raises(RegistryError, match="failed to verify certificate"):
            pull(open_workspace(str(tmp_path / "strict")), users["strict"], reference, lambda event: None)
        assert warnings == [f"the certificate of {server.domain} is not checked: registries.toml says verify = false"]
        for registries in users.values():
            registries.close()


def test_a_mirror_is_asked_first_and_the_registry_where_it_fails(puller: Puller, tmp_path: Path) -> None:
    image = make_image(LAYERS)
    upload(puller.registries, puller.name("library/mirrored:1"), image)
    settings = f'["docker.io"]\nmirrors = ["http://127.0.0.1:9", "http://{puller.server.domain}"]\n'
    registries = puller.server.registries(tmp_path / "other", settings=settings)
    done = pull(puller.ws, registries, Reference.parse("mirrored:1"), lambda event: None)
    registries.close()
    assert str(done.image_id) == image.image_id
    assert images.find(puller.ws, "mirrored:1").names == ("mirrored:1",)


def test_an_archive_since_a_pulled_image_lacks_its_layers(puller: Puller, tmp_path: Path) -> None:
    base, more = make_image(LAYERS[:1]), make_image(LAYERS)
    for name, image in (("sbase:1", base), ("smore:1", more)):
        upload(puller.registries, puller.name(name), image)
        puller.pull(name)
    out = io.BytesIO()
    save(puller.ws, [puller.name("smore:1")], TarSink(out.write), since=[puller.name("sbase:1")])
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        packed = {name.rpartition("/")[2] for name in archive.getnames()}
    first, second = (digest.removeprefix("sha256:") for digest in list(more.blobs)[:2])
    assert (first in packed, second in packed) == (False, True)
    with pytest.raises(MinidockError, match="of which this store lacks layer"):
        load(open_workspace(str(tmp_path / "empty")), io.BytesIO(out.getvalue()))


def test_processes_that_want_one_layer_download_it_once(server: Server, tmp_path: Path) -> None:
    user = {**os.environ, **server.environment(tmp_path / "home")}
    registries = server.registries(tmp_path / "home")
    image = make_image([{"file": random.Random(7).randbytes(6_000_000)}])
    name = f"{server.domain}/wanted:1"
    upload(registries, name, image)
    registries.close()
    words = [sys.executable, "-m", "minidock", "--root", str(tmp_path / "store"), "pull", "-q", name]
    crowd = [subprocess.Popen(words, env=user, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(process.communicate()[1], process.returncode) for process in crowd] == [(b"", 0)] * 4
    layer = f'"GET /v2/wanted/blobs/{next(iter(image.blobs))} '.encode()
    assert (server.place / "log").read_bytes().count(layer) == 1


@pytest.mark.slow
def test_who_waits_for_a_process_that_is_killed_downloads_in_its_place(server: Server, tmp_path: Path) -> None:
    registries = server.registries(tmp_path / "home")
    image = make_image([{"file": random.Random(9).randbytes(6_000_000)}])
    upload(registries, f"{server.domain}/left:1", image)
    registries.close()
    layer = f'"GET /v2/left/blobs/{next(iter(image.blobs))} '.encode()
    user = {**os.environ, **server.environment(tmp_path / "home")}
    with cutting_proxy(int(server.domain.rpartition(":")[2]), rate=300_000) as proxy:
        name = f"127.0.0.1:{proxy.port}/left:1"
        words = [sys.executable, "-m", "minidock", "--root", str(tmp_path / "store"), "pull", "-q", name]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(words, env=user, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        leader = start()
        wait_until(lambda: layer in (server.place / "log").read_bytes())
        crowd = [start() for _ in range(3)]
        waiting = [process.stderr for process in crowd if process.stderr is not None]
        told = [stream.readline() for stream in waiting]  # they tell whom they wait for
        leader.kill()
        leader.communicate()
        proxy.rate = 0
        ends = [(process.communicate()[0].decode(), process.returncode) for process in crowd]
    assert all(b"waiting for another process that downloads layer" in line for line in told)
    assert ends == [(f"{name}\n", 0)] * 3
    assert (server.place / "log").read_bytes().count(layer) == 2
    assert files_of(open_workspace(str(tmp_path / "store")), name) == ["file"]


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_layers_are_fetched_side_by_side(tmp_path: Path) -> None:
    """The registry gives no layer before three are asked for."""
    tars = [gzip.compress(tar_of({str(number): bytes(100)}), mtime=0) for number in range(6)]
    blobs = {Digest.sha256(data): data for data in tars}
    together = threading.Barrier(3, timeout=20)

    def give(request: Request) -> Answer:
        together.wait()
        return Answer(200, blobs[Digest.parse(request.url.rpartition("/")[2])])

    ws = open_workspace(str(tmp_path / "store"))
    layers = [
        (Descriptor(mediatype.LAYER_GZIP, digest, len(data)), Digest.sha256(gzip.decompress(data)))
        for digest, data in blobs.items()
    ]
    with ws.store.session() as session:
        crew = Crew(together.abort)
        LayerFetcher(ws, session, [lambda: repository(Memory(give))], lambda event: None, crew).fetch(layers)
        assert all(ws.store.blobs.has(diff_id) for _, diff_id in layers)


@pytest.mark.parametrize(("cut", "kept"), [(2_000_000, 2_000_000), (500_000, 0)])
def test_a_download_that_fails_is_gone_on_with_by_the_next_one(tmp_path: Path, cut: int, kept: int) -> None:
    ws = open_workspace(str(tmp_path / "store"))
    image = make_image([{"file": random.Random(3).randbytes(3_000_000)}], is_plain=True)
    digest, data = next(iter(image.blobs.items()))
    layer = Descriptor(mediatype.LAYER, Digest.parse(digest), len(data))

    def fetch(memory: Memory) -> None:
        with ws.store.session() as session:
            fetcher = LayerFetcher(ws, session, [lambda: repository(memory)], lambda event: None, Crew(lambda: None))
            fetcher.fetch([(layer, layer.digest)])

    def gone(request: Request) -> Answer:
        raise RegistryUnreachable("gone", may_pass=False)

    with pytest.raises(RegistryUnreachable):
        fetch(Memory(in_turn([ranged(data, cut), gone])))
    assert [os.path.getsize(path) for path in partial_paths(ws.store.layout)] == ([kept] if kept else [])
    memory = Memory(ranged(data))
    fetch(memory)
    assert [request.headers.get("Range") for request in memory.requests] == [f"bytes={kept}-" if kept else None]
    assert ws.store.blobs.read(layer.digest) == data
    assert partial_paths(ws.store.layout) == []


def test_a_prune_removes_downloads_that_were_broken_off(tmp_path: Path) -> None:
    ws = open_workspace(str(tmp_path / "store"))
    with ws.store.session() as session:
        writer = ws.store.partials.resume(session, Digest("0" * 64), 9 << 20)
        writer.write(bytes(2 << 20))
        ws.store.partials.keep(session, writer, Digest("0" * 64))
    with ws.store.session():
        assert len(partial_paths(ws.store.layout)) == 1  # no rubbish of a dead session
    prune.prune_cache(ws, is_all=True)
    assert partial_paths(ws.store.layout) == []


def test_an_interrupted_pull_ends_at_once_and_leaves_nothing_half_made(server: Server, tmp_path: Path) -> None:
    registries = server.registries(tmp_path / "home")
    image = make_image([{f"file{number}": random.Random(number).randbytes(20_000_000)} for number in range(4)])
    name = f"{server.domain}/interrupted:1"
    upload(registries, name, image)
    registries.close()
    user = {**os.environ, **server.environment(tmp_path / "home")}
    words = [sys.executable, "-m", "minidock", "--root", str(tmp_path / "store"), "pull", name]
    process = subprocess.Popen(words, env=user, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "Pulling fs layer" not in process.stdout.readline():
        assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, problem = process.communicate(timeout=30)
    assert (problem, process.returncode, time.monotonic() - begun < 2) == ("", 130, True)
    ws = open_workspace(str(tmp_path / "store"))
    assert ws.store.images.list() == ()
    assert os.listdir(ws.store.layout.path("tmp")) in ([], ["partial"])
    subprocess.run(words, env=user, check=True, capture_output=True)
    assert files_of(ws, name) == [f"file{number}" for number in range(4)]
    assert partial_paths(ws.store.layout) == []


@pytest.mark.slow
def test_a_pull_killed_at_any_moment_leaves_a_store_that_the_next_one_completes(server: Server, tmp_path: Path) -> None:
    user = server.environment(tmp_path / "home")
    registries = server.registries(tmp_path / "home")
    image = make_image([{f"file{number}": random.Random(number).randbytes(3_000_000)} for number in range(4)])
    name = f"{server.domain}/large:1"
    upload(registries, name, image)
    registries.close()

    def command(root: Path) -> list[str]:
        return [sys.executable, "-m", "minidock", "--root", str(root), "pull", "-q", name]

    variables = {**os.environ, **user}
    begun = time.monotonic()
    subprocess.run(command(tmp_path / "whole"), env=variables, check=True, capture_output=True)
    whole = time.monotonic() - begun
    for point in range(20):
        root = tmp_path / "killed"
        process = subprocess.Popen(command(root), env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * (point + 1) / 21)
        process.kill()
        process.wait()
        ws = open_workspace(str(root))
        if ws.store.exists:
            for item in ws.store.images.list():
                assert str(images.config_digest(item)) == image.image_id
                assert all(ws.store.blobs.read(Digest.parse(digest)) == data for digest, data in image.blobs.items())
        done = subprocess.run(command(root), env=variables, check=True, capture_output=True, text=True)
        assert done.stdout == f"{name}\n"
        assert files_of(ws, name) == [f"file{number}" for number in range(4)]
        subprocess.run([*command(root)[:5], "rmi", name], env=variables, check=True, capture_output=True)
