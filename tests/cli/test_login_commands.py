"""login and logout as typed, with a real registry that asks who one is."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.test_image_commands import Said
from tests.engine.terminal_user import TerminalUser
from tests.registry_server import PASSWORD, USER, Server, registry_server

AUTH = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry"), has_auth=True) as found:
        yield found


@pytest.fixture
def user(server: Server, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, **server.environment(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "minidock", *words]


def said(user: Mapping[str, str], *words: str, typed: str = "") -> Said:
    done = subprocess.run(command(*words), env=user, input=typed.encode(), capture_output=True, timeout=60, check=False)
    return Said(done.stdout.decode(), done.stderr.decode(), done.returncode)


def written(user: Mapping[str, str]) -> object:
    return json.loads(Path(user["HOME"], ".docker/config.json").read_text())


def test_a_login_is_remembered_and_forgotten(server: Server, user: dict[str, str]) -> None:
    warning = (
        f"\nWARNING! Your credentials are stored unencrypted in '{user['HOME']}/.docker/config.json'.\n"
        "Configure a credential helper to remove this warning. See\n"
        "https://docs.docker.com/go/credential-store/\n\n"
    )
    done = said(user, "login", "-u", USER, "--password-stdin", server.domain, typed=f"{PASSWORD}\n")
    assert done == Said("Login Succeeded\n", warning, 0)
    assert written(user) == {"auths": {server.domain: {"auth": AUTH}}}
    again = said(user, "login", f"http://{server.domain}/v2/")
    assert again == Said(f"Authenticating with existing credentials... [Username: {USER}]\nLogin Succeeded\n", "", 0)
    gone = Said(f"Removing login credentials for {server.domain}\n", "", 0)
    assert said(user, "logout", server.domain) == gone
    assert written(user) == {"auths": {}}
    assert said(user, "logout", server.domain) == gone
    assert said(user, "logout").out == "Removing login credentials for https://index.docker.io/v1/\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("-p", "x", "--password-stdin"), "conflicting options: cannot specify both --password and --password-stdin"),
        (("--password-stdin",), "the --password-stdin option requires --username to be set"),
        (("-p", "-"), "the --password-stdin option requires --username to be set"),
        (("-u", "", "-p", "x"), "username is empty"),
        (("-u", "x", "-p", ""), "password is empty"),
        ((), "Cannot perform an interactive login from a non TTY device"),
        (("-u", "x"), "Cannot perform an interactive login from a non TTY device"),
        (("-u", USER, "-p", "-"), "login attempt to http://{domain}/v2/ failed with status: 401 Unauthorized"),
    ],
)  # fmt: skip
def test_what_does_not_log_in_is_said_and_nothing_is_remembered(
    server: Server, user: dict[str, str], words: tuple[str, ...], problem: str
) -> None:
    done = said(user, "login", *words, server.domain, typed="wrong\n")
    line = next(line for line in done.err.splitlines() if not line.startswith("WARNING!"))
    assert (done.out, line, done.code) == ("", f"minidock: {problem.format(domain=server.domain)}", 1)
    assert not Path(user["HOME"], ".docker").exists()


@pytest.mark.parametrize("typed", ["", "\n", "\r\n"])
def test_a_pipe_that_brings_no_password_is_named(server: Server, user: dict[str, str], typed: str) -> None:
    done = said(user, "login", "-u", USER, "--password-stdin", server.domain, typed=typed)
    assert done == Said("", "minidock: password is empty\n", 1)


def test_a_password_on_the_command_line_is_warned_of(server: Server, user: dict[str, str]) -> None:
    done = said(user, "login", "-u", USER, "-p", PASSWORD, server.domain)
    assert done.err.startswith("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    assert (done.out, done.code) == ("Login Succeeded\n", 0)


def test_name_and_password_are_asked_for_on_a_terminal(server: Server, user: dict[str, str]) -> None:
    terminal = TerminalUser(command("login", server.domain), user, (24, 80))
    terminal.sees("Username: ")
    terminal.types(f"{USER}\n")
    terminal.sees("Password: ")
    terminal.types(f"{PASSWORD}\n")
    assert terminal.ends() == 0
    assert terminal.shown.endswith(b"Login Succeeded\r\n")
    assert PASSWORD.encode() not in terminal.shown
    assert written(user) == {"auths": {server.domain: {"auth": AUTH}}}


def test_a_helper_keeps_the_password_and_no_file_does(server: Server, user: dict[str, str], tmp_path: Path) -> None:
    helper = tmp_path / "bin/docker-credential-box"
    helper.parent.mkdir()
    helper.write_text(
        f"#!/bin/sh\nbox={tmp_path}/box\n"
        'case "$1" in store) cat > $box;; erase) rm $box;;\n'
        "get) cat > /dev/null; cat $box 2>/dev/null && exit; echo credentials not found in native keychain; exit 1;;\n"
        "esac\n"
    )
    helper.chmod(0o755)
    user = {**user, "PATH": f"{helper.parent}:{user['PATH']}"}
    Path(user["HOME"], ".docker").mkdir()
    Path(user["HOME"], ".docker/config.json").write_text('{"credsStore": "box"}')
    done = said(user, "login", "-u", USER, "--password-stdin", server.domain, typed=PASSWORD)
    assert done == Said("Login Succeeded\n", "", 0)
    assert json.loads((tmp_path / "box").read_text()) == {
        "ServerURL": server.domain, "Username": USER, "Secret": PASSWORD
    }  # fmt: skip
    assert written(user) == {"credsStore": "box"}
    assert said(user, "login", server.domain).out.endswith("Login Succeeded\n")
    said(user, "logout", server.domain)
    assert not (tmp_path / "box").exists()


def test_what_podman_knows_is_used_and_left_to_podman(server: Server, user: dict[str, str]) -> None:
    file = Path(user["XDG_RUNTIME_DIR"], "containers/auth.json")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"auths": {server.domain: {"auth": AUTH}}}))
    assert said(user, "login", server.domain).out.endswith("Login Succeeded\n")
    done = said(user, "logout", server.domain)
    assert done.err == (f"WARNING: {file} still has credentials for {server.domain}: `podman logout` removes those\n")
    assert file.exists()
