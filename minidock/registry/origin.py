"""Where a URL leads: scheme, host and port. One rule decides what may be sent there, at every request anew.

Credentials go to the origin of their registry and to nobody else; https never goes on as http; a registry elsewhere
never leads to this machine. Source: OCI distribution-spec, "Authorization headers"; RFC 6454.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from minidock.core.dataclass import dataclass
from minidock.errors import RegistryError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, IPv6 without brackets) and port."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Return the origin of ``url``. Raises: RegistryError for one that is no plain http(s) URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise RegistryError(f"invalid URL {url!r}") from error
        is_plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
        if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or not is_plain or port == 0:
            raise RegistryError(f"invalid URL {without_query(url)!r}")
        return cls(parts.scheme, parts.hostname.rstrip("."), _PORTS[parts.scheme] if port is None else port)

    @property
    def netloc(self) -> str:
        """Host and port as URLs have them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether the name itself says that this is a place of this machine or of its link."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        return is_local_address(self.host)

    @property
    def is_loopback(self) -> bool:
        """Whether the name itself says that nothing sent there leaves this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


def is_local_address(text: str) -> bool:
    """Tell whether ``text`` is an address of this machine or of its link, in any notation that a resolver takes."""
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        # 127.1, 0x7f000001, 2130706433 …: no registry is called so, and resolvers read them as addresses.
        last = text.rpartition(".")[2].lower()
        return last.isdigit() or last.startswith("0x")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_link_local or address.is_unspecified


def check_step(start: Origin, target: Origin) -> None:
    """Make sure that ``start``, a registry, may lead on to ``target``. Raises: RegistryError."""
    if (start.host, start.port) == (target.host, target.port) and start.scheme == target.scheme:
        return
    if start.scheme == "https" and target.scheme == "http":
        raise RegistryError(f"{start} leads to {target}: https does not go on without encryption")
    if target.is_local and not start.is_local:
        raise RegistryError(f"{start} leads to {target}, a place of this machine")


def without_query(url: str) -> str:
    """Return ``url`` as messages may show it: queries hold signatures, user names hold passwords."""
    base = url.partition("?")[0].partition("#")[0]
    scheme, slashes, rest = base.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}" if slashes else base
