"""From the name of an image to the repositories that may have it: mirrors first, then the registry of its name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import field

from minidock.core.dataclass import dataclass
from minidock.core.reference import DEFAULT_DOMAIN, Reference
from minidock.errors import RegistryUnreachable
from minidock.registry.authorization import Authorization, Credentials
from minidock.registry.client import Repository
from minidock.registry.credentials import CredentialFiles
from minidock.registry.exchange import Exchange, Pause
from minidock.registry.origin import Origin
from minidock.registry.settings import Settings, known_certificates
from minidock.registry.transport import NotEncrypted, Request, Transport, Trust

_DOCKER_HUB = "registry-1.docker.io"


@dataclass(slots=True)
class Registries:
    """Every registry that this process speaks to; several threads may use it. Close it after use."""

    settings: Settings
    credentials: CredentialFiles
    warn: Callable[[str], None]
    transport: Transport | None = None
    pause: Pause | None = None  # None: by the clock, until somebody cancels
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _origins: dict[str, Origin] = field(default_factory=dict)
    _exchanges: dict[tuple[Origin, str], Exchange] = field(default_factory=dict)
    _domains: dict[Origin, str] = field(default_factory=dict)

    def repository(self, reference: Reference) -> Repository:
        """Return the repository of the registry that a name says."""
        return self._repository(reference.domain, reference.path)

    def sources(self, reference: Reference) -> tuple[Callable[[], Repository], ...]:
        """Return what gives the repositories that may have an image, the one to ask first at the front."""
        found = []
        for mirror in self.settings.of(reference.domain).mirrors:
            scheme, _, rest = mirror.rpartition("://")
            domain, _, prefix = rest.strip("/").partition("/")
            path = f"{prefix}/{reference.path}" if prefix else reference.path
            found.append(lambda domain=domain, path=path, scheme=scheme: self._repository(domain, path, scheme))
        return (*found, lambda: self.repository(reference))

    def login(self, domain: str, credentials: Credentials) -> None:
        """Make sure that a registry accepts credentials. Raises: RegistryRefused, RegistryUnreachable."""
        origin = self._origin(domain, "")
        exchange = self._exchange(origin, lambda: credentials)
        exchange.send("GET", "/v2/").close()

    def _repository(self, domain: str, path: str, scheme: str = "") -> Repository:
        origin = self._origin(domain, scheme)
        with self._lock:
            exchange = self._exchanges.get((origin, path))
            if exchange is None:
                exchange = self._exchange(origin, lambda: self.credentials.find(domain, path))
                self._exchanges[(origin, path)] = exchange
        return Repository(exchange, path)

    def _exchange(self, origin: Origin, credentials: Callable[[], Credentials | None]) -> Exchange:
        transport = self._transport()
        return Exchange(transport, origin, Authorization(transport, origin, credentials), self.pause or self._pause)

    def _transport(self) -> Transport:
        if self.transport is None:
            from minidock.registry.connections import HttpTransport  # after everything that can be wrong before

            self.transport = HttpTransport(self.credentials.environment, self._trust)
        return self.transport

    def _trust(self, origin: Origin) -> Trust:
        domain = self._domains.get(origin, origin.netloc)
        host = self.settings.of(domain)
        files = (*known_certificates(domain), *((host.ca_file,) if host.ca_file else ()))
        return Trust(files, host.verifies)

    def _origin(self, domain: str, scheme: str) -> Origin:
        """Return where a registry is; one on this machine may do without encryption, which is found out once."""
        with self._lock:
            known = self._origins.get(f"{scheme}://{domain}")
        if known is not None:
            return known
        host = self.settings.of(domain)
        place = _DOCKER_HUB if domain == DEFAULT_DOMAIN else domain
        origin = Origin.of(f"{scheme or ('http' if host.is_plain else 'https')}://{place}")
        if origin.scheme == "http" and not (host.is_plain or origin.is_loopback or scheme):
            origin = Origin.of(f"https://{place}")
        with self._lock:
            self._domains[origin] = domain
        if origin.scheme == "https" and not host.verifies:
            self.warn(f"the certificate of {domain} is not checked: registries.toml says verify = false")
        if origin.scheme == "https" and origin.is_loopback and not host.ca_file:
            origin = self._plain_if_needed(origin, place)
        with self._lock:
            self._origins[f"{scheme}://{domain}"] = origin
        return origin

    def _plain_if_needed(self, origin: Origin, place: str) -> Origin:
        try:
            self._transport().send(Request("GET", f"{origin}/v2/")).close()
        except NotEncrypted:
            return Origin.of(f"http://{place}")
        return origin

    def _pause(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise RegistryUnreachable("cancelled")

    def cancel(self) -> None:
        """End every exchange: whoever waits for one gets RegistryUnreachable at once."""
        self._cancelled.set()
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self.transport is not None:
            self.transport.close()
