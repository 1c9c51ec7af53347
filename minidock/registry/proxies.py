"""Which proxy leads to an origin: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, read as docker reads them.

Upper case before lower case; no proxy leads to this machine. A part of NO_PROXY is ``*``, a host (and all below it), a
``.domain`` (what is below it), an address or a network, each with a port or without.
Source: golang.org/x/net/http/httpproxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from minidock.core.dataclass import dataclass
from minidock.errors import RegistryError
from minidock.registry.origin import Origin


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and who the user is to it."""

    origin: Origin
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.origin})"  # never what is secret


def proxy_for(origin: Origin, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for an origin, None if it is reached without one. Raises: RegistryError for a wrong variable."""
    url = _value(environment, f"{origin.scheme}_proxy")
    if not url or origin.is_local or _is_excepted(origin, _value(environment, "no_proxy")):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if not parts.hostname:
            raise ValueError(url)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        found = Origin.of(f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else ""))
    except (ValueError, RegistryError) as error:
        raise RegistryError(
            f"the proxy in {origin.scheme.upper()}_PROXY cannot be used", hint="write http://HOST:PORT"
        ) from error
    return Proxy(found, unquote(parts.username or ""), unquote(parts.password or ""))


def _value(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name, "")


def _is_excepted(origin: Origin, exceptions: str) -> bool:
    return any(_fits(origin, part.strip().lower()) for part in exceptions.split(",") if part.strip())


def _fits(origin: Origin, part: str) -> bool:
    if part == "*":
        return True
    try:
        if "/" in part:
            return ipaddress.ip_address(origin.host) in ipaddress.ip_network(part, strict=False)
    except ValueError:
        return False
    name, port = _split_port(part)
    if port and port != str(origin.port):
        return False
    if name.startswith((".", "*.")):
        return origin.host.endswith(name.removeprefix("*"))
    return origin.host == name or origin.host.endswith(f".{name}")


def _split_port(part: str) -> tuple[str, str]:
    if part.startswith("["):
        name, _, rest = part[1:].partition("]")
        return name, rest.removeprefix(":")
    name, colon, port = part.rpartition(":")
    return (name, port) if colon and ":" not in name else (part, "")
