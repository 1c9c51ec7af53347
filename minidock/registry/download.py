"""A file at an http(s) URL: what the server says of it, and its content as a stream of bounded size.

The standard library serves: one GET per ADD needs neither a pool of connections nor HTTP/2. Redirects are followed,
proxies come from the usual variables. Source: RFC 9110 (ETag, If-None-Match, Last-Modified); BuildKit, source/http.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import IO
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from minidock import __version__
from minidock.core.dataclass import dataclass
from minidock.core.git_reference import without_password
from minidock.errors import BuildError

TIMEOUT = 60.0  # seconds without a byte
LARGEST = 64 << 30
_CHUNK = 1 << 20
_NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class Headers:
    """What a response says: ``etag`` without the mark of a weak one, ``last_modified`` as written; empty if missing."""

    status: int
    etag: str
    last_modified: str
    length: int | None = None

    @property
    def mtime(self) -> int:
        """The time of ``last_modified`` in seconds, 0 if that is no date."""
        try:
            return int(parsedate_to_datetime(self.last_modified).timestamp())
        except (ValueError, TypeError, OverflowError):
            return 0


class Response:
    """An open response: its headers, and its content to be read once."""

    def __init__(self, url: str, headers: Headers, stream: IO[bytes], largest: int) -> None:
        self.headers = headers
        self._url = url
        self._stream = stream
        self._largest = largest

    def chunks(self) -> Iterator[bytes]:
        """Yield the content. Raises: BuildError if it ends early, takes too long or is too large."""
        size = 0
        while True:
            try:
                chunk = self._stream.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _failure(self._url, error) from error
            if not chunk:
                break
            size += len(chunk)
            if size > self._largest:
                raise BuildError(f"{without_password(self._url)}: larger than {self._largest} bytes")
            yield chunk
        if self.headers.length is not None and size != self.headers.length:
            raise BuildError(
                f"{without_password(self._url)}: unexpected EOF: {size} of {self.headers.length} bytes came",
                hint="try again",
            )


@contextmanager
def opened(
    url: str,
    *,
    method: str = "GET",
    known_etags: Sequence[str] = (),
    authorization: str = "",
    timeout: float = TIMEOUT,
    largest: int = LARGEST,
) -> Iterator[Response]:
    """Send one request and yield the response, also one of 304 if an ETag is known; close it at the end.

    ``authorization`` goes to the server of the URL only, not to those that it redirects to.
    Raises: BuildError for any other status outside 200 to 399, and where nobody answers.
    """
    request = _request(url, method, known_etags, authorization)
    try:
        stream = _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != _NOT_MODIFIED:
            error.close()
            raise BuildError(f"{without_password(url)}: invalid response status {error.code}") from error
        stream = error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failure(url, error) from error
    with stream:
        headers = _headers(stream.status, stream.headers)
        if headers.length is not None and headers.length > largest:
            raise BuildError(f"{without_password(url)}: larger than {largest} bytes")
        yield Response(url, headers, stream, largest)


def _opener() -> urllib.request.OpenerDirector:
    # Not the default one: that would also open files and FTP.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _request(url: str, method: str, known_etags: Sequence[str], authorization: str) -> urllib.request.Request:
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    path, query = quote(parts.path, safe="/%:@!$&'()*+,;=~"), quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    request = urllib.request.Request(urlunsplit((parts.scheme, host, path, query, "")), method=method)
    request.add_header("User-Agent", f"minidock/{__version__}")
    request.add_header("Accept-Encoding", "identity")
    if at and not authorization:
        authorization = f"Basic {base64.b64encode(unquote(credentials).encode()).decode()}"
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    if known_etags:
        request.add_header("If-None-Match", ", ".join(known_etags))
    return request


def _headers(status: int, members: Mapping[str, str]) -> Headers:
    length = members.get("Content-Length", "")
    return Headers(
        status,
        members.get("ETag", "").removeprefix("W/"),
        members.get("Last-Modified", ""),
        int(length) if length.isdecimal() and "Content-Encoding" not in members else None,
    )


def _failure(url: str, error: Exception) -> BuildError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, socket.gaierror):
        text = f"lookup {urlsplit(url).hostname}: no such host"
    elif isinstance(reason, TimeoutError):
        text = "timeout: the server does not answer"
    elif isinstance(reason, ssl.SSLCertVerificationError):
        text = f"the certificate of {urlsplit(url).hostname} is not trusted: {reason.verify_message}"
    elif isinstance(reason, ssl.SSLError):
        text = f"TLS: {(reason.reason or 'no connection').lower().replace('_', ' ')}"
    elif isinstance(reason, OSError) and reason.strerror:
        text = reason.strerror.lower()
    else:
        text = str(reason) or type(reason).__name__
    return BuildError(f"{without_password(url)}: {text}", hint="check the URL, and the proxy variables of the shell")
