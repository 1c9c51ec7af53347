"""One request, one response: what `exchange` needs of the network, and how failures of it are told.

What needs the network gets a `Transport`: that of `connections`, or in tests one that answers from memory.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Protocol
from urllib.parse import urlsplit

from minidock.core.dataclass import dataclass
from minidock.errors import RegistryError, RegistryUnreachable
from minidock.registry.origin import Origin, without_query

_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH)


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


def unreachable(method: str, url: str, error: Exception, proxy: Origin | None = None) -> RegistryError:
    """Return what went wrong with a connection, by ``proxy`` if there is one, in docker's words."""
    if isinstance(error, RegistryError):
        return error
    shown = without_query(url)
    place = Origin.of(url) if proxy is None else proxy
    dial = "dial tcp" if proxy is None else "proxyconnect tcp: dial tcp"
    hint = "check the name, the network and the proxy variables of the shell"
    if isinstance(error, socket.gaierror):
        reason = "temporary failure in name resolution" if error.errno == socket.EAI_AGAIN else "no such host"
        text = f"{dial}: lookup {place.host}: {reason}"
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
        text = f"{dial} {place.netloc}: connect: connection refused"
    elif isinstance(error, EOFError):
        text = "unexpected EOF"
    elif isinstance(error, OSError) and error.errno in _NO_WAY:
        text = f"{dial} {place.netloc}: connect: {os.strerror(error.errno or 0).lower()}"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror.lower()
    else:
        text = str(error) or type(error).__name__
    is_final = isinstance(error, socket.gaierror | ssl.SSLCertVerificationError | ConnectionRefusedError)
    is_final = is_final or (isinstance(error, OSError) and error.errno in _NO_WAY)
    return RegistryUnreachable(f'{method.capitalize()} "{shown}": {text}', hint=hint, may_pass=not is_final)


def _is_no_tls(error: ssl.SSLError) -> bool:
    """Tell whether the other side did not answer in TLS at all."""
    reasons = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST")
    return isinstance(error, ssl.SSLEOFError) or (error.reason or "") in reasons
