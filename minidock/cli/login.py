"""`minidock login` and `logout`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from minidock.engine.login import Account

_UNENCRYPTED = """
WARNING! Your credentials are stored unencrypted in '{path}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/

"""


def login(
    server: Annotated[str, typer.Argument(metavar="[SERVER]")] = "",
    password: Annotated[
        str | None,
        typer.Option("--password", "-p", help='Password or Personal Access Token (PAT), or "-" to read from stdin'),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Take the Password or Personal Access Token (PAT) from stdin")
    ] = False,
    username: Annotated[str | None, typer.Option("--username", "-u", help="Username")] = None,
) -> None:
    """Authenticate to a registry."""
    import os

    from minidock.cli import streams
    from minidock.engine.login import account

    _check(username, password, is_from_stdin=password_stdin)
    if password_stdin or password == "-":
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
        _check(username, password, is_from_stdin=False)
    elif password is not None:
        sys.stderr.write("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    with account(os.environ, streams.warn, server) as found:
        if username is None and password is None and _is_known(found):
            return
        path = found.log_in(*_asked(username or "", password or "", is_at_hub=found.is_at_docker_hub))
    if path:
        sys.stderr.write(_UNENCRYPTED.format(path=path))
    print("Login Succeeded")


def _check(username: str | None, password: str | None, *, is_from_stdin: bool) -> None:
    """Refuse options that contradict each other. Raises: InvalidRequest in docker's words."""
    from minidock.errors import InvalidRequest

    if is_from_stdin and password is not None:
        raise InvalidRequest("conflicting options: cannot specify both --password and --password-stdin")
    if (is_from_stdin or password == "-") and username is None:
        raise InvalidRequest("the --password-stdin option requires --username to be set")
    for name, value in (("username", username), ("password", password)):
        if value == "":
            raise InvalidRequest(f"{name} is empty")


def _is_known(found: Account) -> bool:
    """Log in with what is remembered; tell whether that went well."""
    from minidock.errors import RegistryError

    name = found.known_as()
    if name is None:
        return False
    print(f"Authenticating with existing credentials...{f' [Username: {name}]' if name else ''}", flush=True)
    try:
        found.log_in_again()
    except RegistryError as error:
        sys.stderr.write(f"Login did not succeed, error: {error}\n")
        return False
    print("Login Succeeded")
    return True


def _asked(username: str, password: str, *, is_at_hub: bool) -> tuple[str, str]:
    """Return name and password, asked for on the terminal where the command line does not tell them."""
    import getpass

    from minidock.errors import InvalidRequest

    if not (username and password) and not sys.stdin.isatty():
        raise InvalidRequest(
            "Cannot perform an interactive login from a non TTY device", hint="use --username and --password-stdin"
        )
    if not username:
        if is_at_hub:
            print("Log in with your Docker ID or email address to push and pull images from Docker Hub.")
        sys.stdout.write("Username: ")
        sys.stdout.flush()
        username = sys.stdin.readline().strip()
    if username and not password:
        try:
            password = getpass.getpass("Password: ")
        except EOFError:
            print()
    for name, value in (("username", username), ("password", password)):
        if not value:
            raise InvalidRequest(f"{name} is empty")
    return username, password


def logout(server: Annotated[str, typer.Argument(metavar="[SERVER]")] = "") -> None:
    """Log out from a registry."""
    import os

    from minidock.cli import streams
    from minidock.engine.login import account

    with account(os.environ, streams.warn, server) as found:
        print(f"Removing login credentials for {found.shown}", flush=True)
        for file in found.log_out():
            streams.warn(f"{file} still has credentials for {found.shown}: `podman logout` removes those")
