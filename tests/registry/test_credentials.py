"""Credentials: docker's and podman's files, and helpers."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from minidock.errors import MinidockError
from minidock.registry.authorization import Credentials
from minidock.registry.credentials import CredentialFiles


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def files(tmp_path: Path, *members: object) -> CredentialFiles:
    paths = []
    for number, item in enumerate(members):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(item))
        paths.append(str(path))
    return CredentialFiles(paths[0], paths[1:], {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("domain", "path", "expected"),
    [
        ("docker.io", "library/x", Credentials("hub", "a:b")),
        ("r.example", "x", Credentials("plain", "1")),
        ("r.example:5000", "x", Credentials("port", "2")),
        ("deep.example", "team/app", Credentials("team", "3")),
        ("deep.example", "other", Credentials("host", "4")),
        ("token.example", "x", Credentials("", "", "identity")),
        ("second.example", "x", Credentials("second", "5")),
        ("evil-r.example", "x", None),
        ("r.example.evil", "x", None),
        ("r.example:443", "x", None),
        ("unknown.example", "x", None),
    ],
)
def test_a_registry_gets_its_own_credentials_and_nobody_elses(
    tmp_path: Path, domain: str, path: str, expected: Credentials | None
) -> None:
    docker = {
        "https://index.docker.io/v1/": auth("hub:a:b"),
        "https://r.example/v1/": auth("plain:1"),
        "r.example:5000": auth("port:2"),
        "token.example": {**auth("u:"), "identitytoken": "identity"},
    }
    podman = {
        "deep.example/team": auth("team:3"),
        "deep.example": auth("host:4"),
        "second.example": auth("second:5"),
        "r.example": auth("never:asked"),
    }
    found = files(tmp_path, {"auths": docker}, {"auths": podman}).find(domain, path)
    if expected is not None and expected.identity:
        assert found is not None and found.identity == expected.identity
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"auth": "!!!"}, "auth of r.example is not base64"),
        ({"auth": "gDpw"}, "auth of r.example is not base64"),
        ({"auth": "bm9ib2R5"}, "auth of r.example is no name and password"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named_with_its_file(tmp_path: Path, entry: object, problem: str) -> None:
    with pytest.raises(MinidockError, match=problem) as caught:
        files(tmp_path, {"auths": {"r.example": entry}}).find("r.example")
    assert str(caught.value).startswith(str(tmp_path / "0.json"))
    assert files(tmp_path, {"auths": {"r.example": entry}}).find("other.example") is None


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"auth": None}, {"email": "x"}, 7, None])
def test_an_entry_that_holds_nothing_is_none(tmp_path: Path, entry: object) -> None:
    assert files(tmp_path, {"auths": {"r.example": entry}}).find("r.example") is None


def test_what_is_remembered_is_for_its_owner_only_and_can_be_forgotten(tmp_path: Path) -> None:
    known = files(tmp_path, {"auths": {"other.example": auth("a:b")}, "psFormat": "x"})
    assert known.remember("r.example", Credentials("someone", "secret")) == known.docker
    assert stat.S_IMODE(os.stat(known.docker).st_mode) == 0o600
    assert known.find("r.example") == Credentials("someone", "secret")
    assert (known.forget("r.example"), known.forget("r.example"), known.find("r.example")) == (True, False, None)
    assert json.loads(Path(known.docker).read_text()) == {"auths": {"other.example": auth("a:b")}, "psFormat": "x"}


def test_a_helper_is_asked_with_the_name_of_the_registry(tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        "#!/bin/sh\nread name\n"
        'case "$name" in r.example) echo \'{"Username": "h", "Secret": "s"}\';;'
        " *) echo 'credentials not found in native keychain'; exit 1;; esac\n"
    )
    helper.chmod(0o755)
    known = files(tmp_path, {"credsStore": "test"})
    assert known.find("r.example") == Credentials("h", "s")
    assert known.find("x.example") is None
    with pytest.raises(MinidockError, match="executable file not found"):
        files(tmp_path, {"credHelpers": {"x.example": "missing"}}).find("x.example")
    with pytest.raises(MinidockError, match="no valid name"):
        files(tmp_path, {"credsStore": "../evil"}).find("x.example")


def test_secrets_are_not_shown() -> None:
    assert repr(Credentials("someone", "secret", "token")) == "Credentials(username='someone')"
