"""Lets requests in at one registry: basic authentication, or tokens that a server of its choice gives out.

Credentials go to the registry's own origin, and to the realm that it names in a challenge, if `check_step` allows
that. Source: distribution, docs/spec/auth/{token,oauth}.md; RFC 6750; RFC 7617.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from minidock.core.dataclass import dataclass
from minidock.errors import RegistryError, RegistryRefused
from minidock.registry.challenge import Challenge
from minidock.registry.origin import Origin, check_step, without_query
from minidock.registry.transport import Request, Response, Transport

CLIENT_ID = "minidock"
LARGEST_TOKEN = 1 << 20
_SHORTEST_LIFE = 60  # seconds, if a server does not say; then, too, by the specification
_LONGEST_LIFE = 1 << 20
_MARGIN = 10


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password, or an ``identity`` token that stands for both."""

    username: str = ""
    password: str = ""
    identity: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"  # never what is secret

    @property
    def basic(self) -> str:
        """The header of basic authentication."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    ends: float


class Authorization:
    """What is known of how one registry lets requests in; several threads may use it."""

    def __init__(
        self,
        transport: Transport,
        registry: Origin,
        credentials: Callable[[], Credentials | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._registry = registry
        self._find = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[str, _Token] = {}
        self._found: tuple[Credentials | None] | None = None

    @property
    def credentials(self) -> Credentials | None:
        """The user's credentials for the registry; looked for when they are first needed."""
        if self._found is None:
            self._found = (self._find(),)
        return self._found[0]

    def header(self, scope: str) -> str:
        """Return the Authorization header for ``scope``, empty as long as the registry has asked for none."""
        with self._lock:
            if self._challenge is None:
                return ""
            if self._challenge.scheme == "basic":
                return self.credentials.basic if self.credentials and self.credentials.username else ""
            token = self._tokens.get(scope)
            if token is None or token.ends <= self._clock():
                token = self._tokens[scope] = self._fetch(self._challenge, scope)
            return token.header

    def challenged(self, challenges: tuple[Challenge, ...], scope: str, sent: str) -> bool:
        """Take in what a 401 says; return whether another try with `header` makes sense.

        ``sent`` is the header that was refused. Raises: RegistryError, RegistryRefused.
        """
        with self._lock:
            known = next((item for item in challenges if item.scheme in ("bearer", "basic")), None)
            if known is None:
                return False
            if known.scheme == "basic":
                self._challenge = known
                usable = self.credentials is not None and bool(self.credentials.username)
                return usable and self.credentials is not None and sent != self.credentials.basic
            self._challenge = known
            current = self._tokens.get(scope)
            if current is None or current.header == sent:
                self._tokens.pop(scope, None)
            return True

    def _fetch(self, challenge: Challenge, scope: str) -> _Token:
        realm = challenge.parameters.get("realm", "")
        origin = Origin.of(realm)
        check_step(self._registry, origin)
        wanted = " ".join(dict.fromkeys([*challenge.parameters.get("scope", "").split(), *scope.split()]))
        fields = {"service": challenge.parameters.get("service", "")}
        if scope:
            fields["scope"] = scope if not challenge.parameters.get("scope") else wanted
        request = self._token_request(realm, {key: value for key, value in fields.items() if value}, origin)
        response = self._transport.send(request)
        try:
            data = read_bounded(response, LARGEST_TOKEN, "the answer of the token server")
        finally:
            response.close()
        if response.status != 200:
            raise _refusal(realm, response.status, data)
        return self._token(data, realm)

    def _token_request(self, realm: str, fields: Mapping[str, str], origin: Origin) -> Request:
        known = self.credentials
        allows_local = self._registry.is_local or origin == self._registry
        if known is not None and known.identity:
            form = {"grant_type": "refresh_token", "client_id": CLIENT_ID, "refresh_token": known.identity, **fields}
            data = urlencode(form).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request("POST", realm, headers, lambda: [data], len(data), allows_local)
        parts = urlsplit(realm)
        pairs = [*parse_qsl(parts.query, keep_blank_values=True)]
        for key, value in fields.items():
            pairs += [(key, item) for item in (value.split() if key == "scope" else [value])]
        headers = {}
        if known is not None and known.username:
            pairs.append(("account", known.username))
            headers["Authorization"] = known.basic
        query = urlencode(pairs, quote_via=quote, safe=":/,")
        return Request("GET", urlunsplit(parts._replace(query=query)), headers, allows_local=allows_local)

    def _token(self, data: bytes, realm: str) -> _Token:
        try:
            members = json.loads(data)
            text = members.get("token") or members.get("access_token") or ""
            life = members.get("expires_in") or _SHORTEST_LIFE
        except (ValueError, AttributeError, RecursionError) as error:
            raise RegistryError(f"{without_query(realm)}: the answer is no token") from error
        is_sound = isinstance(text, str) and text.isascii() and text.isprintable() and " " not in text
        if not text or not is_sound or not isinstance(life, int | float):
            raise RegistryError(f"{without_query(realm)}: the answer is no token")
        return _Token(f"Bearer {text}", self._clock() + min(max(life, _SHORTEST_LIFE), _LONGEST_LIFE) - _MARGIN)


def read_bounded(response: Response, limit: int, what: str) -> bytes:
    """Return the whole body. Raises: RegistryError if it has more than ``limit`` bytes."""
    parts = []
    size = 0
    while size <= limit and (chunk := response.read(limit + 1 - size)):
        parts.append(chunk)
        size += len(chunk)
    if size > limit:
        raise RegistryError(f"{what} is larger than {limit} bytes")
    return b"".join(parts)


def printable(value: object) -> str:
    """Return text of a server as a terminal may show it, empty if it is none."""
    text = value if isinstance(value, str) else ""
    return "".join(character if character.isprintable() else " " for character in text)[:400]


def _refusal(realm: str, status: int, data: bytes) -> RegistryRefused:
    code, detail = "", ""
    try:
        members = json.loads(data)
        first = (members.get("errors") or [{}])[0]
        code, detail = printable(first.get("code")), printable(first.get("message") or members.get("details"))
    except (ValueError, AttributeError, IndexError, KeyError, TypeError, RecursionError):
        pass  # an answer in words of its own: the status says enough
    if status in (401, 403):
        code, detail = code or "UNAUTHORIZED", detail or "incorrect username or password"
    return RegistryRefused(f"GET request to {without_query(realm)}", status, code, detail)
