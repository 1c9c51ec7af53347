"""What a repository can be asked for and given, at a real registry."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.reference import Reference
from minidock.errors import RegistryError, RegistryRefused
from minidock.registry.authorization import Credentials
from minidock.registry.client import Repository
from minidock.registry.registries import Registries
from tests.registry_server import PASSWORD, USER, Server, make_image, registry_server, upload

DATA = random.Random(5).randbytes(300_000)
DIGEST = Digest.sha256(DATA)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry"), has_auth=True) as found:
        yield found


@pytest.fixture
def registries(server: Server, tmp_path: Path) -> Iterator[Registries]:
    found = server.registries(tmp_path / "home", logged_in=True)
    yield found
    found.close()


def repository(server: Server, registries: Registries, name: str) -> Repository:
    return registries.repository(Reference.parse(f"{server.domain}/{name}"))


def content(where: Repository, digest: Digest, size: int, offset: int = 0) -> bytes:
    with where.blob(Descriptor("x", digest, size), offset) as stream:
        assert stream.offset == offset
        return b"".join(iter(lambda: stream.read(65536), b""))


def test_a_blob_of_known_size_goes_up_in_one_request(server: Server, registries: Registries) -> None:
    here = repository(server, registries, "one")
    assert not here.has_blob(DIGEST)
    here.upload(here.begin_upload(), DIGEST, len(DATA), lambda: [DATA[:7], DATA[7:]])
    assert here.has_blob(DIGEST)
    assert content(here, DIGEST, len(DATA)) == DATA
    assert content(here, DIGEST, len(DATA), 250_000) == DATA[250_000:]


def test_a_blob_whose_size_is_not_known_goes_up_as_it_comes(server: Server, registries: Registries) -> None:
    here = repository(server, registries, "stream")
    place = here.upload_stream(here.begin_upload(), lambda: (DATA[at : at + 1000] for at in range(0, len(DATA), 1000)))
    here.finish_upload(place, DIGEST)
    assert content(here, DIGEST, len(DATA)) == DATA


def test_a_blob_that_is_not_what_it_is_said_to_be_is_refused(server: Server, registries: Registries) -> None:
    here, wrong = repository(server, registries, "wrong"), Digest.sha256(b"other")
    with pytest.raises(RegistryRefused):
        here.upload(here.begin_upload(), wrong, len(DATA), lambda: [DATA])
    with pytest.raises(RegistryRefused):
        here.finish_upload(here.upload_stream(here.begin_upload(), lambda: [DATA]), wrong)
    assert not here.has_blob(wrong)


def test_a_blob_of_another_repository_is_mounted(server: Server, registries: Registries) -> None:
    there, here = repository(server, registries, "source"), repository(server, registries, "target")
    there.upload(there.begin_upload(), DIGEST, len(DATA), lambda: [DATA])
    assert not here.has_blob(DIGEST)
    assert here.mount(DIGEST, "source") is None
    assert here.has_blob(DIGEST)
    place = here.mount(Digest.sha256(b"nobody has it"), "source")
    assert place is not None
    here.upload(place, Digest.sha256(b"nobody has it"), 13, lambda: [b"nobody has it"])


def test_manifests_keep_their_bytes_and_tags_are_listed(server: Server, registries: Registries) -> None:
    image = make_image([{"f": b"1"}])
    for tag in ("v1", "v2"):
        here = upload(registries, f"{server.domain}/tagged:{tag}", image)
    found = here.manifest("v1")
    assert (found.data, str(found.descriptor.digest)) == (image.manifest, image.digest)
    assert here.manifest(Digest.parse(image.digest), len(image.manifest)).data == image.manifest
    assert str(here.manifest_digest("v2")) == image.digest
    assert sorted(here.tags()) == ["v1", "v2"]
    with pytest.raises(RegistryRefused) as caught:
        here.manifest("v3")
    assert (caught.value.status, caught.value.code) == (404, "MANIFEST_UNKNOWN")
    with pytest.raises(RegistryError, match="larger than"):
        here.manifest("v1", len(image.manifest) - 1)


def test_who_has_no_password_is_refused(server: Server, registries: Registries, tmp_path: Path) -> None:
    registries.login(server.domain, Credentials(USER, PASSWORD))
    for wrong in (Credentials(USER, "wrong"), Credentials("nobody", PASSWORD)):
        with pytest.raises(RegistryRefused) as caught:
            registries.login(server.domain, wrong)
        assert (caught.value.status, caught.value.code) == (401, "UNAUTHORIZED")
    stranger = server.registries(tmp_path / "stranger")
    with pytest.raises(RegistryRefused):
        repository(server, stranger, "one").begin_upload()
    stranger.close()
