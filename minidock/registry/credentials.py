"""Who the user is at which registry: docker's and podman's own files, and the helpers that those name.

A name matches host and port exactly; podman's may go on with a path, of which the longest counts. What `login`
remembers goes where docker keeps it. Source: docker/cli, cli/config; containers-auth.json(5);
docker-credential-helpers, README.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.reference import DEFAULT_DOMAIN
from minidock.errors import MinidockError, RegistryError
from minidock.registry.authorization import Credentials

DOCKER_KEY = "https://index.docker.io/v1/"
DOCKER_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
_TOKEN_USER = "<token>"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_SECONDS = 120
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """The files in the order they are asked: the first that knows a registry answers. The first is written, too.

    ``environment`` is what helpers are started with.
    """

    docker: str
    others: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def find(self, domain: str, path: str = "") -> Credentials | None:
        """Return the credentials for a repository of a registry, None if there are none. Raises: MinidockError."""
        for file in (self.docker, *self.others):
            members = _read(file)
            helper = _helper_of(members, domain)
            found = self._ask(helper, domain) if helper else None
            if found is None:
                found = _written(members, domain, path, file)
            if found is not None:
                return found
        return None

    def remember(self, domain: str, credentials: Credentials) -> str:
        """Keep credentials as docker does; return the file they stand in for everybody to read, empty for a helper.

        Raises: MinidockError.
        """
        members = _read(self.docker)
        helper = _helper_of(members, domain)
        key = _key(domain)
        if helper:
            user = _TOKEN_USER if credentials.identity else credentials.username
            secret = credentials.identity or credentials.password
            self._call(helper, "store", json.dumps({"ServerURL": key, "Username": user, "Secret": secret}))
            return ""
        name_and_password = f"{credentials.username}:{credentials.password}"
        entry = {"auth": base64.b64encode(name_and_password.encode()).decode()}
        if credentials.identity:
            entry = {
                "auth": base64.b64encode(f"{credentials.username}:".encode()).decode(),
                "identitytoken": credentials.identity,
            }
        auths = {**_auths(members), key: entry}
        _write(self.docker, {**members, "auths": auths})
        return self.docker

    def forget(self, domain: str) -> bool:
        """Forget the credentials for a registry; return whether docker's file or a helper had any."""
        members = _read(self.docker)
        helper = _helper_of(members, domain)
        auths = _auths(members)
        kept = {key: value for key, value in auths.items() if not _matches(key, domain)}
        had = len(kept) != len(auths)
        if helper:
            had = self._ask(helper, domain) is not None or had
            self._call(helper, "erase", _key(domain))
        if len(kept) != len(auths):
            _write(self.docker, {**members, "auths": kept})
        return had

    def others_that_know(self, domain: str) -> tuple[str, ...]:
        """Return those files which `forget` leaves alone and that know a registry."""
        return tuple(
            file for file in self.others if _helper_of(_read(file), domain) or _written(_read(file), domain, "", file)
        )

    def _ask(self, helper: str, domain: str) -> Credentials | None:
        try:
            answer = json.loads(self._call(helper, "get", _key(domain)))
            user, secret = str(answer["Username"]), str(answer["Secret"])
        except _NotFound:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(f"docker-credential-{helper}: its answer is not understood") from error
        return Credentials(identity=secret) if user == _TOKEN_USER else Credentials(user, secret)

    def _call(self, helper: str, verb: str, text: str) -> str:
        import shutil
        import subprocess

        program = shutil.which(f"docker-credential-{helper}", path=self.environment.get("PATH"))
        if program is None:
            raise MinidockError(
                f'error getting credentials - err: exec: "docker-credential-{helper}": executable file not found '
                "in $PATH",
                hint=f"install it, or take it out of credsStore and credHelpers in {self.docker}",
            )
        try:
            done = subprocess.run(
                [program, verb],
                input=text.encode(),
                capture_output=True,
                env=dict(self.environment),
                timeout=_HELPER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MinidockError(f"error getting credentials - err: {program}: {error}") from error
        out = done.stdout[:_LARGEST].decode("utf-8", "replace").strip()
        if done.returncode == 0:
            return out
        if "credentials not found" in out.lower():
            raise _NotFound
        what = {"get": "getting", "store": "storing", "erase": "erasing"}[verb]
        raise MinidockError(f"error {what} credentials - err: exit status {done.returncode}, out: `{out[:400]}`")


class _NotFound(MinidockError):
    """A helper that knows nothing of a registry."""

    def __init__(self) -> None:
        super().__init__("credentials not found")


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            members = json.loads(file.read(_LARGEST + 1))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise MinidockError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise MinidockError(f"{path}: not JSON: {error}", hint="repair or remove it") from error
    if not isinstance(members, dict):
        raise MinidockError(f"{path}: not an object", hint="repair or remove it")
    return members


def _auths(members: Mapping[str, Any]) -> dict[str, Any]:
    found = members.get("auths")
    return dict(found) if isinstance(found, dict) else {}


def _helper_of(members: Mapping[str, Any], domain: str) -> str:
    helpers = members.get("credHelpers")
    name = members.get("credsStore") or ""
    for key, value in helpers.items() if isinstance(helpers, dict) else ():
        if _matches(str(key), domain):
            name = value
    if name and (not isinstance(name, str) or not _HELPER.fullmatch(name)):
        raise MinidockError(f"the credential helper {name!r} has no valid name")
    return str(name)


def _key(domain: str) -> str:
    return DOCKER_KEY if domain == DEFAULT_DOMAIN else domain


def _host(key: str) -> str:
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _matches(key: str, domain: str) -> bool:
    host = _host(key).lower()
    return host in DOCKER_NAMES if domain == DEFAULT_DOMAIN else host == domain.lower()


def _written(members: Mapping[str, Any], domain: str, path: str, file: str) -> Credentials | None:
    auths = _auths(members)
    for key in _candidates(auths, domain, path):
        entry = auths[key]
        if not isinstance(entry, dict):
            continue
        user, password = _decoded(str(entry.get("auth") or ""), key, file)
        user, password = user or str(entry.get("username") or ""), password or str(entry.get("password") or "")
        identity = str(entry.get("identitytoken") or "")
        if identity or user:
            return Credentials(user, password.rstrip("\0"), identity)
    return None


def _decoded(auth: str, key: str, file: str) -> tuple[str, str]:
    """Return the name and the password of an entry, empty ones where it holds none. Raises: MinidockError."""
    try:
        text = base64.b64decode("".join(auth.split()), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise MinidockError(f"{file}: auth of {key} is not base64", hint="log in again") from error
    user, colon, password = text.partition(":")
    if text and not colon:
        raise MinidockError(f"{file}: auth of {key} is no name and password", hint="log in again")
    return user, password


def _candidates(auths: Mapping[str, Any], domain: str, path: str) -> Iterator[str]:
    """Yield the keys that fit a repository, those with the longest path first."""
    parts = path.split("/") if path else []
    for length in range(len(parts), 0, -1):
        key = "/".join((domain, *parts[:length]))
        if key in auths:
            yield key
    for key in auths:
        has_path = "://" not in key and "/" in key
        if not has_path and _matches(key, domain):
            yield key


def _write(path: str, members: Mapping[str, Any]) -> None:
    """Put a new version of the file in place of the old one, for its owner's eyes only."""
    target = os.path.realpath(path)
    temporary = f"{target}.{os.urandom(6).hex()}"
    try:
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(members, file, indent="\t", ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise MinidockError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error
