"""ADD of a URL: one file, fetched only if the cache does not have the layer that it gives.

As BuildKit, an ETag that is still true spares the download, and a --checksum even the question. Not as BuildKit, the
content itself is not kept beside the layer: it is fetched again where a step before this one was rebuilt.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from posixpath import basename
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from xxhash import xxh3_128

from minidock.core import units
from minidock.core.cache_key import InputFile
from minidock.core.copying import Planned
from minidock.core.entries import FILE, Entry
from minidock.core.git_reference import without_password
from minidock.core.selecting import Selected
from minidock.engine.progress import Step
from minidock.engine.secrets import Secrets
from minidock.engine.stage_state import BuildContext
from minidock.errors import BuildError
from minidock.store.http_notes import HttpNote, HttpNotes
from minidock.store.layer_writer import ContentChanged

if TYPE_CHECKING:
    from minidock.registry.download import Headers, Response

_DIGEST = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([0-9a-zA-Z=_-]+)")
_UNNAMED = "__unnamed__"


class UrlPart:
    """The file at one URL, mode 0600, dated as the server says."""

    is_of_context = False

    def __init__(self, build: BuildContext, url: str, shown: str, checksum: str, *, unpacks: bool) -> None:
        self._build = build
        self._url = url
        self._shown = without_password(shown)
        self._checksum = read_checksum(checksum) if checksum else ""
        self._notes = HttpNotes(build.ws.store.layout)
        self._known: HttpNote | None = None  # what the step's key was made of
        self._file = ""  # the temporary file that holds the content
        self._fetched: HttpNote | None = None
        self._entry = Entry("", FILE)
        self.unpacks = unpacks

    def inputs(self) -> tuple[InputFile, ...]:
        """Return the file as the server has it now, or as --checksum says, without asking."""
        known = self._known = self._current()
        return (InputFile(self._shown, FILE, 0o600, known.sha256),)

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return the time that the server gives the file, which becomes its own; none where --checksum says all."""
        return () if self._known is None or self._checksum else ((f"time of {self._shown}", self._known.last_modified),)

    def _current(self) -> HttpNote:
        if self._checksum:
            return HttpNote("", "", self._checksum)
        if self._fetched is not None:
            return self._fetched
        note = self._notes.get(self._url)
        if note is not None and self._is_still(note):
            return note
        return self._fetch(note)

    def _is_still(self, note: HttpNote) -> bool:
        """Ask whether the file has the ETag of the note still: by HEAD, as some servers ignore If-None-Match."""
        try:
            with self._opened("HEAD", [note.etag]) as response:
                etag = response.headers.etag or (note.etag if response.headers.status == 304 else "")
                return etag == note.etag
        except BuildError:
            return False  # a server that knows no HEAD: GET decides

    def _fetch(self, note: HttpNote | None) -> HttpNote:
        etags = [] if note is None else [note.etag]
        with self._opened("GET", etags) as response:
            if response.headers.status == 304 and note is not None:
                return note
            return self._save(response)

    def _opened(self, method: str, etags: Sequence[str]) -> AbstractContextManager[Response]:
        from minidock.registry import download  # http and TLS, which few builds need, take 10 ms to load

        header = authorization(self._build.secrets, self._url)
        return download.opened(self._url, method=method, known_etags=etags, authorization=header)

    def _save(self, response: Response) -> HttpNote:
        self._file = self._file or self._build.session.temporary()
        slow, fast, size = sha256(), xxh3_128(), 0
        disk = self._build.ws.store.disk
        if os.path.exists(self._file):
            disk.unlink(self._file)
        fd = disk.open_new(self._file)
        try:
            for chunk in response.chunks():
                self._build.cancellation.check()
                slow.update(chunk)
                fast.update(chunk)
                disk.write(fd, chunk)
                size += len(chunk)
        finally:
            os.close(fd)
        headers: Headers = response.headers
        self._entry = Entry(
            file_name(self._url),
            FILE,
            0o600,
            size=size,
            mtime=headers.mtime,
            sha256=slow.hexdigest(),
            xxh3=fast.hexdigest(),
        )
        self._fetched = HttpNote(headers.etag, headers.last_modified, slow.hexdigest())
        if headers.etag:
            self._notes.put(self._build.session, self._url, self._fetched)
        return self._fetched

    def take(self, step: Step) -> tuple[Selected, ...]:
        """Return the file. Raises: BuildError for another checksum, ContentChanged if it has changed since the key."""
        found = self._fetched or self._fetch(None)
        step.status(f"{self._shown} {units.progress_size(self._entry.size)} done")
        if self._checksum and found.sha256 != self._checksum:
            raise BuildError(
                f"digest mismatch for {self._shown}: sha256:{found.sha256} (expected: sha256:{self._checksum})",
                hint="the file at the URL is another one: look at it before changing --checksum",
            )
        if not self._checksum and self._known is not None and found.sha256 != self._known.sha256:
            raise ContentChanged(self._shown)
        return (Selected(self._entry.path, self._entry),)

    def open(self, item: Planned) -> tuple[int, int | None]:
        """Open what was fetched."""
        return os.open(self._file, os.O_RDONLY | os.O_CLOEXEC), None

    def close(self) -> None:
        """Remove what was fetched."""
        if self._file and os.path.exists(self._file):
            self._build.ws.store.disk.unlink(self._file)


def authorization(secrets: Secrets, url: str) -> str:
    """Return what the build's secrets say to the server of ``url``, empty if nothing."""
    host = urlsplit(url).hostname or ""
    token = secrets.read(f"HTTP_AUTH_TOKEN_{host}")
    if token is not None:
        return f"Bearer {token.decode('latin-1').strip()}"
    header = secrets.read(f"HTTP_AUTH_HEADER_{host}")
    return "" if header is None else header.decode("latin-1").strip()


def read_checksum(text: str) -> str:
    """Return the digits of a ``sha256:`` digest. Raises: BuildError, in Go's words."""
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise BuildError(f"invalid checksum digest format: {text}", hint="write it as --checksum=sha256:HEX")
    if found[1] != "sha256":
        raise BuildError(f"unsupported digest algorithm: {found[1]}", hint="write it as --checksum=sha256:HEX")
    if not re.fullmatch("[0-9a-f]{64}", found[2]):
        raise BuildError(f"invalid checksum digest length: {text}", hint="sha256 has 64 digits of 0-9 and a-f")
    return found[2]


def file_name(url: str) -> str:
    """Return what the file at ``url`` is called in a directory: the last part of its path."""
    name = basename(unquote(urlsplit(url).path).rstrip("/")).strip()
    if not name:
        return _UNNAMED
    return "download" if name in (".", "..") or any(not character.isprintable() for character in name) else name
