"""Logging in at a registry and out again; what is remembered stands where docker keeps it.

Source: docker/cli, cli/command/registry, as seen from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus

from minidock.core.dataclass import dataclass
from minidock.core.reference import DEFAULT_DOMAIN
from minidock.engine.registries import Environment, open_registries
from minidock.errors import RegistryError, RegistryRefused
from minidock.registry.authorization import Credentials
from minidock.registry.credentials import DOCKER_KEY, DOCKER_NAMES
from minidock.registry.registries import Registries


@dataclass(frozen=True, slots=True)
class Account:
    """A user at the registry ``domain``."""

    registries: Registries
    domain: str

    @property
    def shown(self) -> str:
        """What docker calls the registry where it speaks of credentials."""
        return DOCKER_KEY if self.domain == DEFAULT_DOMAIN else self.domain

    @property
    def is_at_docker_hub(self) -> bool:
        """Whether the registry is docker's own."""
        return self.domain == DEFAULT_DOMAIN

    def known_as(self) -> str | None:
        """Return the name that is remembered, empty for a token without one, None if nothing is.

        Raises: MinidockError.
        """
        known = self.registries.credentials.find(self.domain)
        return None if known is None else known.username

    def log_in_again(self) -> None:
        """Make sure that the registry accepts what is remembered. Raises: RegistryError in docker's words."""
        known = self.registries.credentials.find(self.domain)
        assert known is not None
        self._check(known)

    def log_in(self, username: str, password: str) -> str:
        """Make sure that the registry accepts name and password, and remember them.

        Return the file in which they stand for everybody to read who may read it, empty if a helper keeps them.
        Raises: RegistryError in docker's words, MinidockError.
        """
        credentials = Credentials(username, password)
        self._check(credentials)
        return self.registries.credentials.remember(self.domain, credentials)

    def _check(self, credentials: Credentials) -> None:
        try:
            self.registries.login(self.domain, credentials)
        except RegistryRefused as error:
            url = error.request.rpartition(" ")[2]
            if error.status == HTTPStatus.UNAUTHORIZED and url.endswith("/v2/"):
                raise RegistryError(f"login attempt to {url} failed with status: 401 Unauthorized") from error
            raise RegistryError(f'Get "{url}": {error}') from error

    def log_out(self) -> tuple[str, ...]:
        """Forget the credentials; return the files of other programs that still know some. Raises: MinidockError."""
        self.registries.credentials.forget(self.domain)
        return self.registries.credentials.others_that_know(self.domain)


@contextmanager
def account(environment: Environment, warn: Callable[[str], None], server: str) -> Iterator[Account]:
    """Yield the account at the registry that SERVER of a command line means.

    That is a host, perhaps in a URL; Docker Hub if it is empty. Raises: MinidockError.
    """
    host = (server.partition("://")[2] or server).partition("/")[0]
    domain = DEFAULT_DOMAIN if not host or host in DOCKER_NAMES else host
    with closing(open_registries(environment, warn)) as registries:
        yield Account(registries, domain)
