"""The transport over the network: httpcore's connections, one pool for each origin, kept for the next request.

httpcore and not httpx, which is built on it: what httpx adds (redirects, decoding, cookies, the variables of the shell)
must not happen by itself here; each is decided in `exchange`, where it is known whose credentials a request bears.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpcore

from minidock import __version__
from minidock.errors import RegistryError, RegistryUnreachable
from minidock.registry.origin import Origin, is_local_address
from minidock.registry.proxies import proxy_for
from minidock.registry.transport import Request, Response, Trust, unreachable

CONNECT_SECONDS = 30.0
SILENT_SECONDS = 60.0  # without a byte
_KEEP_SECONDS = 15.0
_MOST_CONNECTIONS = 16
_TIMEOUTS = {"connect": CONNECT_SECONDS, "read": SILENT_SECONDS, "write": SILENT_SECONDS}
_WITH_BODY = ("POST", "PUT", "PATCH")

# What a connection can end in. RuntimeError: `close` in another thread came between two steps of httpcore.
_FAILURES = (
    OSError,
    ValueError,
    RuntimeError,
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class HttpTransport:
    """Sends over http and https, by the proxies that ``environment`` names; several threads may use it."""

    def __init__(
        self, environment: Mapping[str, str], trust: Callable[[Origin], Trust] = lambda origin: Trust()
    ) -> None:
        self._environment = environment
        self._trust = trust
        self._lock = threading.Lock()
        self._pools: dict[tuple[Origin, bool], httpcore.ConnectionPool] = {}
        self._streams = _Streams()

    def send(self, request: Request) -> Response:
        """Send one request; nothing is followed or repeated. Raises: RegistryError."""
        origin = Origin.of(request.url)
        pool = self._pool(origin, allows_local=request.allows_local)
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            port = origin.port if origin.netloc.endswith(f":{origin.port}") else None
            sent = httpcore.Request(
                request.method,
                httpcore.URL(scheme=origin.scheme, host=origin.host, port=port, target=target),
                headers=_fields(origin, request),
                content=b"" if request.body is None else _Body(request.body),
                extensions={"timeout": _TIMEOUTS},
            )
            found = pool.handle_request(sent)
        except _FAILURES as error:
            proxy = proxy_for(origin, self._environment)
            raise unreachable(request.method, request.url, _cause(error), proxy.origin if proxy else None) from error
        return _Received(found, request)

    def _pool(self, origin: Origin, *, allows_local: bool) -> httpcore.ConnectionPool:
        with self._lock:
            if self._streams.is_closed:
                raise RegistryUnreachable("cancelled", may_pass=False)
            pool = self._pools.get((origin, allows_local))
            if pool is None:
                pool = self._pools[(origin, allows_local)] = self._new_pool(origin, allows_local=allows_local)
            return pool

    def _new_pool(self, origin: Origin, *, allows_local: bool) -> httpcore.ConnectionPool:
        context = self._trust(origin).context() if origin.scheme == "https" else None
        proxy = proxy_for(origin, self._environment)
        settings: dict[str, Any] = {
            "ssl_context": context,
            "max_connections": _MOST_CONNECTIONS,
            "keepalive_expiry": _KEEP_SECONDS,
            # A proxy is the user's own choice, and finds the way itself.
            "network_backend": _Backend(self._streams, allows_local=allows_local or proxy is not None),
        }
        if proxy is None:
            return httpcore.ConnectionPool(**settings)
        secret = (proxy.username, proxy.password) if proxy.username else None
        trusted = Trust().context() if proxy.origin.scheme == "https" else None
        return httpcore.HTTPProxy(str(proxy.origin), proxy_auth=secret, proxy_ssl_context=trusted, **settings)

    def close(self) -> None:
        """Break every connection, those in use too."""
        self._streams.close()
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            try:
                pool.close()
            except _FAILURES:  # whoever uses a connection of it notices by itself
                continue


def _fields(origin: Origin, request: Request) -> list[tuple[str, str]]:
    """Return the headers of a request, ours and those that frame its body."""
    fields = {"Host": origin.netloc, "User-Agent": f"minidock/{__version__}", "Accept-Encoding": "identity"}
    fields.update(request.headers)
    if request.size is not None:
        fields["Content-Length"] = str(request.size)
    elif request.body is not None:
        fields["Transfer-Encoding"] = "chunked"
    elif request.method in _WITH_BODY:
        fields["Content-Length"] = "0"
    return list(fields.items())


class _Body:
    """The bytes of a request, made anew when somebody reads them."""

    def __init__(self, make: Callable[[], Iterable[bytes]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._make())


class _Received:
    """A response of httpcore, whose failures are ours."""

    def __init__(self, found: httpcore.Response, request: Request) -> None:
        self.status = found.status
        self.headers: Sequence[tuple[str, str]] = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in found.headers
        )
        self._found = found
        self._request = request
        self._chunks = found.iter_stream()
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        try:
            while not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return b""
                self._rest = chunk
        except _FAILURES as error:
            raise unreachable(self._request.method, self._request.url, _cause(error)) from error
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        try:
            self._found.close()
        except _FAILURES:  # it was broken off: there is nothing left to close
            pass


def _cause(error: Exception) -> Exception:
    """Return what the operating system or OpenSSL said, where httpcore only passes it on."""
    while error.args and isinstance(error.args[0], Exception) and not isinstance(error, OSError):
        if isinstance(error, httpcore.RemoteProtocolError) and "without" in str(error):
            break  # without sending everything, or anything at all
        error = error.args[0]
    return EOFError(str(error)) if isinstance(error, httpcore.RemoteProtocolError) else error


class _Streams:
    """All connections, so that they can be broken while other threads wait for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[httpcore.NetworkStream] = set()
        self.is_closed = False

    def add(self, stream: httpcore.NetworkStream) -> None:
        with self._lock:
            if not self.is_closed:
                self._open.add(stream)
                return
        stream.close()
        raise RegistryUnreachable("cancelled", may_pass=False)

    def remove(self, stream: httpcore.NetworkStream) -> None:
        with self._lock:
            self._open.discard(stream)

    def close(self) -> None:
        with self._lock:
            self.is_closed = True
            streams, self._open = self._open, set()
        for stream in streams:
            sock = stream.get_extra_info("socket")
            try:
                # Of the plain socket: OpenSSL is not to be called while another thread is in it.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:  # the other side was first
                continue


class _Watched(httpcore.NetworkStream):
    """A connection that is known to `_Streams` as long as it is open."""

    def __init__(self, inner: httpcore.NetworkStream, streams: _Streams) -> None:
        self._inner = inner
        self._streams = streams
        streams.add(inner)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._streams.remove(self._inner)
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self._streams.remove(self._inner)
        return _Watched(self._inner.start_tls(ssl_context, server_hostname, timeout), self._streams)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Connects to the address that was looked at: what a name means can change between two questions."""

    def __init__(self, streams: _Streams, *, allows_local: bool) -> None:
        self._inner = httpcore.SyncBackend()
        self._streams = streams
        self._allows_local = allows_local

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        found = dict.fromkeys(str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        places = [place for place in found if self._allows_local or not is_local_address(place)]
        if not places:
            raise RegistryError(f"{host} is a place of this machine, and a registry elsewhere leads there")
        for place in places[:-1]:
            try:
                return _Watched(self._inner.connect_tcp(place, port, timeout, local_address), self._streams)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return _Watched(self._inner.connect_tcp(places[-1], port, timeout, local_address), self._streams)
