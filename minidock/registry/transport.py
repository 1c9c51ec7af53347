"""One request, one response: connections to servers, kept for the next request to the same origin.

The standard library's client carries them. Measured against it, importing urllib3 or httpx takes 28 ms more of
processor time at every start of a pull, for redirects, retries and decoding that must not happen by themselves here:
each of them is decided in `exchange`, where it is known whose credentials a request bears.

What needs the network gets a `Transport`; tests give it one that answers from memory.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from minidock import __version__
from minidock.errors import RegistryError, RegistryUnreachable
from minidock.registry.origin import Origin, is_local_address, without_query

CONNECT_SECONDS = 30.0
SILENT_SECONDS = 60.0  # without a byte
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; ``body`` gives the bytes anew each time it is called, ``size`` of them (None: not known).

    ``allows_local`` says that the host may be this machine whatever its name resolves to.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Iterable[bytes]] | None = None
    size: int | None = None
    allows_local: bool = True


class Response(Protocol):
    """What came back; read and then closed by whoever sent the request."""

    status: int
    headers: Sequence[tuple[str, str]]

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes of the body, none at its end. Raises: RegistryUnreachable."""
        ...

    def close(self) -> None:
        """Be done with it, read or not."""
        ...


class Transport(Protocol):
    """Sends requests; nothing is followed, repeated or added."""

    def send(self, request: Request) -> Response:
        """Send one request and return the response when its headers are there. Raises: RegistryUnreachable."""
        ...

    def close(self) -> None:
        """Break every connection: whoever waits for one gets RegistryUnreachable."""
        ...


def header(response: Response, name: str) -> str:
    """Return the first header of this name, empty if there is none."""
    return next((value for key, value in response.headers if key.lower() == name.lower()), "")


def headers(response: Response, name: str) -> tuple[str, ...]:
    """Return all headers of this name."""
    return tuple(value for key, value in response.headers if key.lower() == name.lower())


class NotEncrypted(RegistryUnreachable):
    """A server that does not speak TLS."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, may_pass=False)


@dataclass(frozen=True, slots=True)
class Trust:
    """Which certificates of one origin are good: those that the system trusts, those of ``ca_files`` too, or any."""

    ca_files: tuple[str, ...] = ()
    checks: bool = True

    def context(self) -> ssl.SSLContext:
        """Return the settings for a connection. Raises: RegistryError if a file cannot be read."""
        context = ssl.create_default_context()
        for path in self.ca_files:
            try:
                context.load_verify_locations(path)
            except (OSError, ssl.SSLError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else "no certificate in it"
                raise RegistryError(f"certificate file {path}: {reason.lower()}") from error
        if not self.checks:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class HttpTransport:
    """Sends over http and https, by the proxies that the usual variables name; several threads may use it."""

    def __init__(self, trust: Callable[[Origin], Trust] = lambda origin: Trust()) -> None:
        self._trust = trust
        self._lock = threading.Lock()
        self._idle: dict[tuple[Origin, bool], list[http.client.HTTPConnection]] = {}
        self._all: set[http.client.HTTPConnection] = set()
        self._contexts: dict[Origin, ssl.SSLContext] = {}
        self._is_closed = False

    def send(self, request: Request) -> Response:
        """Send one request; once more where a kept connection turns out to have been closed meanwhile."""
        origin = Origin.of(request.url)
        key = (origin, request.allows_local)
        with self._lock:
            kept = self._idle.get(key)
            connection = kept.pop() if kept else None
        if connection is not None:
            try:
                return self._exchange(connection, key, request)
            except (http.client.RemoteDisconnected, ConnectionError):
                self._forget(connection)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._forget(connection)
                raise unreachable(request.method, request.url, error) from error
        try:
            connection = self._connection(origin, request)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise unreachable(request.method, request.url, error) from error
        try:
            return self._exchange(connection, key, request)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._forget(connection)
            raise unreachable(request.method, request.url, error) from error
        except BaseException:
            self._forget(connection)
            raise

    def _exchange(self, connection: http.client.HTTPConnection, key: tuple[Origin, bool], request: Request) -> Response:
        fields = {"User-Agent": f"minidock/{__version__}", "Accept-Encoding": "identity", **request.headers}
        chunks = None if request.body is None else request.body()
        if request.size is not None:
            fields["Content-Length"] = str(request.size)
        is_chunked = chunks is not None and request.size is None
        if is_chunked:
            fields["Transfer-Encoding"] = "chunked"
        try:
            connection.request(
                request.method, _target(connection, request.url), chunks, fields, encode_chunked=is_chunked
            )
        except (BrokenPipeError, ConnectionResetError):
            if chunks is None:
                raise
            # A server that refuses may answer before it has read everything: its answer says more.
        found = connection.getresponse()
        return _HttpResponse(found, request, lambda: self._give_back(connection, key, found))

    def _connection(self, origin: Origin, request: Request) -> http.client.HTTPConnection:
        with self._lock:
            if self._is_closed:
                raise RegistryUnreachable("cancelled")
        proxy = _proxy_for(origin)
        connection: http.client.HTTPConnection
        if origin.scheme == "https":
            context = self._context(origin)
            first = proxy or origin
            connection = http.client.HTTPSConnection(first.host, first.port, timeout=CONNECT_SECONDS, context=context)
            if proxy is not None:
                connection.set_tunnel(origin.host, origin.port)
        else:
            first = proxy or origin
            connection = http.client.HTTPConnection(first.host, first.port, timeout=CONNECT_SECONDS)
            if proxy is not None:
                connection.minidock_proxied = True  # type: ignore[attr-defined]  # its requests name the whole URL
        if not request.allows_local and proxy is None:
            connection._create_connection = _connected_elsewhere  # type: ignore[attr-defined]
        with self._lock:
            self._all.add(connection)
        try:
            connection.connect()
        except BaseException:
            self._forget(connection)
            raise
        connection.sock.settimeout(SILENT_SECONDS)
        return connection

    def _context(self, origin: Origin) -> ssl.SSLContext:
        with self._lock:
            if origin not in self._contexts:
                self._contexts[origin] = self._trust(origin).context()
            return self._contexts[origin]

    def _give_back(
        self, connection: http.client.HTTPConnection, key: tuple[Origin, bool], found: http.client.HTTPResponse
    ) -> None:
        """Keep a connection for the next request if this one has been read to its end."""
        if not found.isclosed() or found.will_close or connection.sock is None:
            self._forget(connection)
            return
        with self._lock:
            if not self._is_closed:
                self._idle.setdefault(key, []).append(connection)
                return
        self._forget(connection)

    def _forget(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._all.discard(connection)
        connection.close()

    def close(self) -> None:
        """Break every connection, those in use too."""
        with self._lock:
            self._is_closed = True
            connections, self._all = self._all, set()
            self._idle.clear()
        for connection in connections:
            sock = connection.sock
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:  # the other side was first
                    pass
                sock.close()
            connection.close()


class _HttpResponse:
    """A response of the standard library, whose failures are ours."""

    def __init__(self, found: http.client.HTTPResponse, request: Request, done: Callable[[], None]) -> None:
        self.status = found.status
        self.headers: Sequence[tuple[str, str]] = tuple(found.getheaders())
        self._found = found
        self._request = request
        self._done: Callable[[], None] | None = done

    def read(self, size: int, /) -> bytes:
        try:
            data = self._found.read1(min(size, _BLOCK)) if size > 0 else b""
            if not data and size > 0 and self._found.length:
                raise http.client.IncompleteRead(b"", self._found.length)
            return data
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # AttributeError: the connection was broken by `close` in another thread.
            raise unreachable(self._request.method, self._request.url, error) from error

    def close(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            if self._found.length == 0:
                self._found.close()  # nothing is left of it, though nobody has read its end
            done()


def _target(connection: http.client.HTTPConnection, url: str) -> str:
    if getattr(connection, "minidock_proxied", False):
        return url
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _proxy_for(origin: Origin) -> Origin | None:
    url = urllib.request.getproxies().get(origin.scheme, "")
    if not url or origin.is_local or urllib.request.proxy_bypass(origin.netloc):
        return None
    found = Origin.of(url if "://" in url else f"http://{url}")
    if found.scheme != "http":
        raise RegistryError(f"the proxy {found} is spoken to in plain http only")
    return found


def _connected_elsewhere(
    address: tuple[str, int], timeout: float | None = None, source_address: tuple[str, int] | None = None
) -> socket.socket:
    """Connect to a host that must not be this machine, whatever its name resolves to."""
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    elsewhere = [item for item in found if not is_local_address(str(item[4][0]))]
    if not elsewhere:
        raise RegistryError(f"{host} is a place of this machine, and a registry elsewhere leads there")
    problem: OSError | None = None
    for family, kind, protocol, _, place in elsewhere:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(timeout)
            sock.connect(place)
            return sock
        except OSError as error:
            sock.close()
            problem = error
    assert problem is not None
    raise problem


def unreachable(method: str, url: str, error: Exception) -> RegistryError:
    """Return what went wrong with a connection, in docker's words."""
    if isinstance(error, RegistryError):
        return error
    shown = without_query(url)
    host = urlsplit(url).hostname
    hint = "check the name, the network and the proxy variables of the shell"
    if isinstance(error, socket.gaierror):
        text = f"dial tcp: lookup {host}: no such host"
    elif isinstance(error, TimeoutError):
        text = "timeout: the server does not answer"
    elif isinstance(error, ssl.SSLCertVerificationError):
        text = f"tls: failed to verify certificate: {error.verify_message.lower()}"
        hint = f"name the certificate of its authority as `ca-file` of {urlsplit(url).netloc} in registries.toml"
    elif isinstance(error, ssl.SSLError) and _is_no_tls(error):
        hint = f"if it is to be used without encryption, set `plain-http` of {urlsplit(url).netloc} in registries.toml"
        told = f'{method.capitalize()} "{shown}": http: server gave HTTP response to HTTPS client'
        return NotEncrypted(told, hint=hint)
    elif isinstance(error, ssl.SSLError):
        text = f"tls: {(error.reason or 'no connection').lower().replace('_', ' ')}"
    elif isinstance(error, ConnectionRefusedError):
        text = f"dial tcp {urlsplit(url).netloc}: connect: connection refused"
    elif isinstance(error, http.client.RemoteDisconnected):
        text = "EOF"
    elif isinstance(error, http.client.IncompleteRead):
        text = "unexpected EOF"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror.lower()
    else:
        text = str(error) or type(error).__name__
    is_final = isinstance(error, socket.gaierror | ssl.SSLCertVerificationError | ConnectionRefusedError)
    return RegistryUnreachable(f'{method.capitalize()} "{shown}": {text}', hint=hint, may_pass=not is_final)


def _is_no_tls(error: ssl.SSLError) -> bool:
    """Tell whether the other side did not answer in TLS at all."""
    reasons = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST")
    return isinstance(error, ssl.SSLEOFError) or (error.reason or "") in reasons
