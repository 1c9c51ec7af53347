"""Requests to one registry: redirects, authorization and repetition are decided here and nowhere else.

The Authorization header is made anew for every hop, for the registry's own origin only: a request that was redirected
away and is refused there is never tried again with credentials.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin

from minidock.errors import RegistryError, RegistryRefused, RegistryUnreachable
from minidock.registry.authorization import Authorization, printable, read_bounded
from minidock.registry.challenge import parse_challenges
from minidock.registry.origin import Origin, check_step, without_query
from minidock.registry.transport import Request, Response, Transport, header, headers

LARGEST_ERROR = 1 << 20
TRIES = 5
_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (408, 429, 500, 502, 503, 504)  # what a server may be over in a moment
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 120.0

Pause = Callable[[float], None]
Waiting = Callable[[float], None]  # is told the seconds of a pause that begins


def untold(seconds: float) -> None:
    """Tell nobody of a pause."""


class Exchange:
    """Sends requests to the registry at ``origin``, on behalf of whoever `authorization` knows."""

    def __init__(
        self,
        transport: Transport,
        origin: Origin,
        authorization: Authorization,
        pause: Pause = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.origin = origin
        self._transport = transport
        self._authorization = authorization
        self._pause = pause
        self._clock = clock

    def send(
        self,
        method: str,
        url: str,
        *,
        scope: str = "",
        fields: Mapping[str, str] | None = None,
        body: Callable[[], Iterable[bytes]] | None = None,
        size: int | None = None,
        good: tuple[int, ...] = (200,),
        tries: int = TRIES,
        waiting: Waiting = untold,
    ) -> Response:
        """Send a request and return the response, whose status is one of ``good``; the caller closes it.

        ``url`` may be relative to the registry. What may pass is tried again; ``waiting`` is told before. Raises:
        RegistryError.
        """
        url = urljoin(f"{self.origin}/", url)
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._authorized(method, url, scope, fields or {}, body, size)
            except RegistryUnreachable as error:
                # A body may have been read from something that can be read again; what was done twice is refused.
                if attempt >= tries or not error.may_pass:
                    raise
                self.wait(attempt, waiting)
                continue
            if response.status in good:
                return response
            wait = None
            if response.status in _PASSING and attempt < tries:
                wait = self._pause_asked(response)
            if wait is None:
                raise self._refusal(method, url, response)
            response.close()
            self.wait(attempt, waiting, wait)

    def wait(self, attempt: int, waiting: Waiting = untold, at_least: float = 0.0) -> None:
        """Pause before the next try: half a second, then twice as long each time, or what the server asks for."""
        seconds = max(at_least, _FIRST_PAUSE * 2 ** (attempt - 1))
        waiting(seconds)
        self._pause(seconds)

    def _pause_asked(self, response: Response) -> float | None:
        """Return the seconds that Retry-After names (0 without one), None if that is too long to wait."""
        text = header(response, "Retry-After").strip()
        seconds = 0.0
        if text.isascii() and text.isdigit():
            seconds = float(text[:9])
        elif text:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - self._clock()
            except (ValueError, TypeError, OverflowError):
                seconds = 0.0
        return None if seconds > _LONGEST_PAUSE else max(seconds, 0.0)

    def _authorized(
        self,
        method: str,
        url: str,
        scope: str,
        fields: Mapping[str, str],
        body: Callable[[], Iterable[bytes]] | None,
        size: int | None,
    ) -> Response:
        """Send a request; where the registry itself asks who we are, once more with an answer."""
        for _ in range(2):
            is_ours = Origin.of(url) == self.origin
            sent = self._authorization.header(scope) if is_ours else ""
            response, place = self._followed(method, url, fields, sent, body, size)
            if response.status != 401 or Origin.of(place) != self.origin or not is_ours:
                return response
            challenges = parse_challenges(headers(response, "WWW-Authenticate"))
            if not self._authorization.challenged(challenges, scope, sent):
                return response
            response.close()
        sent = self._authorization.header(scope)
        return self._followed(method, url, fields, sent, body, size)[0]

    def _followed(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str],
        authorization: str,
        body: Callable[[], Iterable[bytes]] | None,
        size: int | None,
    ) -> tuple[Response, str]:
        """Send a request and follow redirects of it; return the last response and where it came from."""
        for _ in range(_MOST_REDIRECTS):
            place = Origin.of(url)
            check_step(self.origin, place)
            secret = {"Authorization": authorization} if authorization and place == self.origin else {}
            allows_local = self.origin.is_local or place == self.origin
            response = self._transport.send(Request(method, url, {**fields, **secret}, body, size, allows_local))
            target = header(response, "Location")
            if response.status not in _REDIRECTS or not target or method not in ("GET", "HEAD"):
                return response, url
            response.close()
            following = urljoin(url, target)
            check_step(place, Origin.of(following))
            url = following
        raise RegistryError(f"{without_query(url)}: more than {_MOST_REDIRECTS} redirects")

    def _refusal(self, method: str, url: str, response: Response) -> RegistryError:
        """Return what a response says that is not wanted."""
        try:
            data = read_bounded(response, LARGEST_ERROR, "the error of the registry")
        finally:
            response.close()
        code, detail = error_of(data)
        shown = f"{method} request to {without_query(url)}"
        status = f"{response.status} {_phrase(response.status)}".strip()
        detail = detail or f"unexpected status from {shown}: {status}"
        return RegistryRefused(shown, response.status, code, detail)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # one of its own
        return ""


def error_of(data: bytes) -> tuple[str, str]:
    """Return code and message of the first error in a body, empty where there is none.

    Source: OCI distribution-spec, "Error codes".
    """
    try:
        first = json.loads(data)["errors"][0]
        code, message = first.get("code"), first.get("message")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return "", ""
    return printable(code), printable(message)
