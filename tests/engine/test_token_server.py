"""A registry whose tokens come from elsewhere: what is asked for, with whose password, and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minidock.core.reference import Reference
from minidock.engine.pull import pull
from minidock.engine.push import push
from minidock.engine.registries import open_registries
from minidock.engine.workspace import Workspace
from minidock.errors import RegistryError, RegistryRefused
from minidock.registry.authorization import Credentials
from minidock.registry.registries import Registries
from tests.engine.building import import_base, run_build, workspace, write_context
from tests.registry_server import PASSWORD, USER, Server, registry_server
from tests.token_server import IDENTITY, Asked, TokenServer, token_server


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    with token_server(tmp_path_factory.mktemp("tokens")) as found:
        yield found


@pytest.fixture(scope="module")
def server(tokens: TokenServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry"), tokens=tokens.settings) as found:
        yield found


@pytest.fixture
def ws(server: Server, tmp_path: Path) -> Workspace:
    """Return a store with an image under two names, one of them public."""
    found = workspace(tmp_path / "store")
    import_base(found)
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM base:1\nCOPY f /f\n", "f": str(tmp_path)})
    run_build(found, context, tags=(f"{server.domain}/team/app:1", f"{server.domain}/public/app:1"))
    return found


def registries_of(server: Server, home: Path, *, secret: str = "") -> Registries:
    """Return the registries of a user; ``secret`` is what docker's file has instead of the password."""
    environment = server.environment(home, logged_in=True)
    if secret:
        entry = {"auth": base64.b64encode(f"{USER}:".encode()).decode(), "identitytoken": secret}
        (home / ".docker/config.json").write_text(json.dumps({"auths": {server.domain: entry}}))
    return open_registries(environment, lambda text: None)


def reference(server: Server, name: str) -> Reference:
    return Reference.parse(f"{server.domain}/{name}:1")


def test_a_push_asks_for_what_it_needs_and_mounts_with_a_token_for_both(
    server: Server, tokens: TokenServer, ws: Workspace, tmp_path: Path
) -> None:
    tokens.asked.clear()
    with closing(registries_of(server, tmp_path / "home")) as registries:
        pushed = push(ws, registries, reference(server, "team/app"), lambda event: None)
        assert tokens.asked == [Asked("GET", {"team/app": {"pull", "push"}}, is_known=True)]
        tokens.asked.clear()
        told: list[object] = []
        again = push(ws, registries, reference(server, "public/app"), told.append)
    assert again.manifest == pushed.manifest
    assert any("Mounted from team/app" in str(event) for event in told)
    both = {"public/app": {"pull", "push"}, "team/app": {"pull"}}
    assert [asked.wanted for asked in tokens.asked] == [{"public/app": {"pull", "push"}}, both]


def test_who_has_no_password_pulls_what_is_public_and_nothing_else(
    server: Server, tokens: TokenServer, ws: Workspace, tmp_path: Path
) -> None:
    with closing(registries_of(server, tmp_path / "home")) as registries:
        for name in ("team/app", "public/app"):
            pushed = push(ws, registries, reference(server, name), lambda event: None)
    tokens.asked.clear()
    other = workspace(tmp_path / "other")
    with closing(server.registries(tmp_path / "stranger")) as stranger:
        done = pull(other, stranger, reference(server, "public/app"), lambda event: None)
        assert done.digest == pushed.manifest.digest
        assert tokens.asked == [Asked("GET", {"public/app": {"pull"}}, is_known=False)]
        with pytest.raises(RegistryError, match=r"pull access denied for .*, repository does not exist or may require"):
            pull(other, stranger, reference(server, "team/app"), lambda event: None)
    with (
        closing(server.registries(tmp_path / "stranger")) as stranger,
        pytest.raises(RegistryError, match="unauthorized: authentication required"),
    ):
        push(ws, stranger, reference(server, "public/app"), lambda event: None)


def test_an_identity_token_stands_for_name_and_password(
    server: Server, tokens: TokenServer, ws: Workspace, tmp_path: Path
) -> None:
    tokens.asked.clear()
    with closing(registries_of(server, tmp_path / "home", secret=IDENTITY)) as registries:
        push(ws, registries, reference(server, "team/app"), lambda event: None)
    assert [(asked.method, asked.is_known) for asked in tokens.asked] == [("POST", True)]
    with (
        closing(registries_of(server, tmp_path / "home", secret="somebody else's")) as registries,
        pytest.raises(RegistryError, match="who is that"),
    ):
        pull(ws, registries, reference(server, "team/app"), lambda event: None)


def test_a_token_that_has_ended_is_replaced_once(
    server: Server, tokens: TokenServer, ws: Workspace, tmp_path: Path
) -> None:
    tokens.asked.clear()
    tokens.stale = 1
    with closing(registries_of(server, tmp_path / "home")) as registries:
        push(ws, registries, reference(server, "team/app"), lambda event: None)
    assert len(tokens.asked) == 2
    tokens.stale = 9
    with closing(registries_of(server, tmp_path / "home")) as registries, pytest.raises(RegistryError):
        push(ws, registries, reference(server, "team/app"), lambda event: None)
    assert len(tokens.asked) <= 5
    tokens.stale = 0


def test_a_login_is_checked_by_the_token_server(server: Server, tokens: TokenServer, tmp_path: Path) -> None:
    with closing(server.registries(tmp_path / "home")) as registries:
        registries.login(server.domain, Credentials(USER, PASSWORD))
        with pytest.raises(RegistryRefused) as caught:
            registries.login(server.domain, Credentials(USER, "wrong"))
    assert (caught.value.status, caught.value.detail) == (401, "who is that?")
