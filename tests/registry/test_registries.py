"""Where a registry is asked: with encryption, unless it is on this machine or the settings say otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.core.reference import Reference
from minidock.errors import RegistryError
from minidock.registry.credentials import CredentialFiles
from minidock.registry.registries import Registries
from minidock.registry.settings import read_settings
from minidock.registry.transport import NotEncrypted, Request
from tests.registry.memory import Answer, Memory

HTTP_ONLY = 'Get "…": http: server gave HTTP response to HTTPS client'


def give(request: Request) -> Answer:
    """Answer as servers that speak no TLS do."""
    if request.url.startswith("https:"):
        raise NotEncrypted(HTTP_ONLY)
    return Answer(200, b'{"tags": ["1"]}')


@pytest.mark.parametrize(
    ("name", "settings", "asked"),
    [
        ("registry.example/app", "", ["https://registry.example"]),
        ("registry.example:5000/app", "", ["https://registry.example:5000"]),
        ("10.0.0.5:5000/app", "", ["https://10.0.0.5:5000"]),
        ("app", "", ["https://registry-1.docker.io"]),
        ("localhost.example:5000/app", "", ["https://localhost.example:5000"]),
        ("localhost:5000/app", "", ["https://localhost:5000", "http://localhost:5000"]),
        ("127.0.0.1:5000/app", "", ["https://127.0.0.1:5000", "http://127.0.0.1:5000"]),
        ("registry.local:5000/app", '["registry.local:5000"]\nplain-http = true', ["http://registry.local:5000"]),
        ("registry.local/app", '["registry.local:5000"]\nplain-http = true', ["https://registry.local"]),
        ("registry.local:5000/app", '["registry.local:5000"]\nplain-http = false', ["https://registry.local:5000"]),
    ],
)  # fmt: skip
def test_nothing_goes_unencrypted_unless_that_is_wanted(
    tmp_path: Path, name: str, settings: str, asked: list[str]
) -> None:
    (tmp_path / "registries.toml").write_text(settings)
    memory, warnings = Memory(give), list[str]()
    known = read_settings([str(tmp_path / "registries.toml")])
    registries = Registries(
        known, CredentialFiles(str(tmp_path / "none")), warnings.append, memory, pause=lambda seconds: None
    )
    repository = registries.repository(Reference.parse(name))
    if asked[-1].startswith("http:"):
        assert repository.tags() == ("1",)
    else:
        with pytest.raises(RegistryError, match="HTTP response to HTTPS client"):
            repository.tags()
    origins = ["/".join(request.url.split("/")[:3]) for request in memory.requests]
    assert list(dict.fromkeys(origins)) == asked
    assert warnings == []


@pytest.mark.parametrize("fails", [404, 401, 403, 500])
def test_mirrors_are_asked_in_their_order_then_the_registry(tmp_path: Path, fails: int) -> None:
    (tmp_path / "registries.toml").write_text(
        '["docker.io"]\nmirrors = ["https://one.example", "two.example/docker", "http://three.example"]\n'
    )
    memory = Memory(lambda request: Answer(fails))
    registries = Registries(
        read_settings([str(tmp_path / "registries.toml")]),
        CredentialFiles(str(tmp_path / "none")),
        lambda text: None,
        memory,
        pause=lambda seconds: None,
    )
    for source in registries.sources(Reference.parse("debian:12")):
        with pytest.raises(RegistryError):
            source().manifest("12")
    assert list(dict.fromkeys(request.url for request in memory.requests)) == [
        "https://one.example/v2/library/debian/manifests/12",
        "https://two.example/v2/docker/library/debian/manifests/12",
        "http://three.example/v2/library/debian/manifests/12",
        "https://registry-1.docker.io/v2/library/debian/manifests/12",
    ]
