"""registries.toml: mirrors, and what may be spoken to without encryption. A small file that need not be there.

::

    ["docker.io"]
    mirrors = ["https://mirror.example:5000", "cache.example/docker"]

    ["registry.local:5000"]
    plain-http = true

    ["registry.example"]
    ca-file = "/etc/ssl/private-authority.pem"
    verify = true

A table for each registry, called as in the names of its images. Certificates that docker and podman keep for a
registry (``/etc/docker/certs.d/HOST/*.crt``) count as well.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.reference import DOMAIN
from minidock.errors import MinidockError

_KEYS = {"mirrors": list, "plain-http": bool, "ca-file": str, "verify": bool}
_CERTIFICATES = ("/etc/docker/certs.d", "/etc/containers/certs.d")


@dataclass(frozen=True, slots=True)
class Host:
    """What is set for one registry."""

    mirrors: tuple[str, ...] = ()
    is_plain: bool = False
    ca_file: str = ""
    verifies: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """What is set for which registry."""

    hosts: Mapping[str, Host] = field(default_factory=dict)

    def of(self, domain: str) -> Host:
        """Return what is set for the registry ``domain``."""
        return self.hosts.get(domain, Host())


def read_settings(paths: Sequence[str]) -> Settings:
    """Return what the first of the files says that exists. Raises: MinidockError that names file and key."""
    import tomllib

    for path in paths:
        try:
            with open(path, "rb") as file:
                members = tomllib.load(file)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise MinidockError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        except ValueError as error:
            raise MinidockError(f"{path}: {error}") from error
        return Settings({name: _host(path, name, value) for name, value in members.items()})
    return Settings()


def _host(path: str, name: str, value: Any) -> Host:
    if not DOMAIN.fullmatch(name) or not isinstance(value, dict):
        raise MinidockError(f"{path}: {name!r} is no table with the name of a registry", hint='write ["HOST:PORT"]')
    for key, item in value.items():
        if key not in _KEYS:
            raise MinidockError(f"{path}: unknown key {key!r} of {name}", hint=f"known are {', '.join(_KEYS)}")
        if not isinstance(item, _KEYS[key]):
            raise MinidockError(f"{path}: {key} of {name} is to be a {_KEYS[key].__name__}")
    mirrors = value.get("mirrors", [])
    if not all(isinstance(mirror, str) and mirror for mirror in mirrors):
        raise MinidockError(f"{path}: mirrors of {name} are to be texts")
    return Host(tuple(mirrors), value.get("plain-http", False), value.get("ca-file", ""), value.get("verify", True))


def known_certificates(domain: str) -> tuple[str, ...]:
    """Return the certificate files that docker and podman keep for a registry."""
    return tuple(
        path for base in _CERTIFICATES for path in sorted(glob.glob(f"{glob.escape(f'{base}/{domain}')}/*.crt"))
    )
