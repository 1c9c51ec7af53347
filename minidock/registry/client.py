"""What a registry can be asked for: manifests, blobs, tags, and how they get there.

Whatever comes is checked against its digest before it is given out, but for blobs, which are streams: `fetching`
watches their size, and whoever writes them their digest. Source: OCI distribution-spec v1.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote, urlencode, urljoin

from minidock.core import mediatype
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.errors import InvalidDigest, RegistryError, RegistryRefused
from minidock.registry.authorization import read_bounded
from minidock.registry.exchange import Exchange, Waiting, untold
from minidock.registry.origin import Origin, check_step
from minidock.registry.transport import Response, header

LARGEST_MANIFEST = 4 << 20
_LARGEST_LIST = 16 << 20
_MOST_PAGES = 10_000
_OCTETS = "application/octet-stream"
_ACCEPTED = ", ".join((*mediatype.INDEXES, *mediatype.MANIFESTS))
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:([0-9]{1,19})|\*)", re.ASCII)
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest or an index: its exact bytes, and the descriptor that they answer to."""

    descriptor: Descriptor
    data: bytes


class Stream:
    """The bytes of a blob from ``offset`` on."""

    def __init__(self, response: Response, offset: int) -> None:
        self.offset = offset
        self._response = response

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end. Raises: RegistryUnreachable."""
        return self._response.read(size)


class Repository:
    """One repository of a registry; ``path`` is its name there. Several threads may use it."""

    def __init__(self, exchange: Exchange, path: str, waiting: Waiting = untold) -> None:
        self.path = path
        self._exchange = exchange
        self._waiting = waiting
        self._send = partial(exchange.send, waiting=waiting)
        self._pull = f"repository:{path}:pull"
        self._push = f"repository:{path}:pull,push"

    @property
    def origin(self) -> Origin:
        """The origin of the registry."""
        return self._exchange.origin

    def telling(self, waiting: Waiting) -> Repository:
        """Return the same repository, of which ``waiting`` is told where it pauses before another try."""
        return Repository(self._exchange, self.path, waiting)

    def wait(self, attempt: int) -> None:
        """Pause before another try."""
        self._exchange.wait(attempt, self._waiting)

    def _url(self, *parts: str) -> str:
        return f"/v2/{self.path}/{'/'.join(quote(part, safe=':') for part in parts)}"

    # --- reading

    def manifest(self, reference: str | Digest, size: int | None = None) -> Found:
        """Return the manifest or index that a tag or digest names; ``size`` is what its descriptor says.

        Raises: RegistryRefused (404 if there is none), RegistryError for bytes of another digest.
        """
        url = self._url("manifests", str(reference))
        response = self._send("GET", url, scope=self._pull, fields={"Accept": _ACCEPTED})
        try:
            data = read_bounded(response, LARGEST_MANIFEST if size is None else size, "the manifest")
        finally:
            response.close()
        if size is not None and len(data) != size:
            raise RegistryError(f"manifest {reference}: {len(data)} bytes came, not {size}")
        found = Digest.sha256(data)
        told = _told_digest(response)
        for wanted in (told, reference):
            if isinstance(wanted, Digest) and wanted != found:
                raise RegistryError(f"manifest verification failed for digest {wanted}: its bytes are {found}")
        media_type = header(response, "Content-Type").partition(";")[0].strip()
        return Found(Descriptor(media_type, found, len(data)), data)

    def manifest_digest(self, reference: str) -> Digest | None:
        """Return the digest of what a tag names now, None if the registry does not tell. Raises: RegistryRefused."""
        url = self._url("manifests", reference)
        response = self._send("HEAD", url, scope=self._pull, fields={"Accept": _ACCEPTED})
        response.close()
        return _told_digest(response)

    @contextmanager
    def blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[Stream]:
        """Open a blob at ``offset``, or at its start where the server gives no parts. Raises: RegistryError."""
        fields = {"Range": f"bytes={offset}-"} if offset else {}
        url = self._url("blobs", str(descriptor.digest))
        response = self._send("GET", url, scope=self._pull, fields=fields, good=(200, 206))
        try:
            yield Stream(response, _offset_of(response, offset, descriptor))
        finally:
            response.close()

    def has_blob(self, digest: Digest, *, for_push: bool = False) -> bool:
        """Whether a blob is there; ``for_push`` asks with the token that an upload needs in any case."""
        try:
            url = self._url("blobs", str(digest))
            scope = self._push if for_push else self._pull
            self._send("HEAD", url, scope=scope, good=(200, 204)).close()
        except RegistryRefused as error:
            if error.status == 404:
                return False
            raise
        return True

    def tags(self) -> tuple[str, ...]:
        """Return all tags, however many pages they take. Raises: RegistryError."""
        found: list[str] = []
        url = self._url("tags", "list")
        seen = set()
        while url and url not in seen:
            seen.add(url)
            if len(seen) > _MOST_PAGES:
                raise RegistryError("the list of tags does not end")
            response = self._send("GET", url, scope=self._pull)
            try:
                data = read_bounded(response, _LARGEST_LIST, "the list of tags")
            finally:
                response.close()
            found += _tags(data)
            following = _NEXT.search(header(response, "Link"))
            url = "" if following is None else self._same_origin(urljoin(urljoin(f"{self.origin}/", url), following[1]))
        return tuple(dict.fromkeys(found))

    def _same_origin(self, url: str) -> str:
        if Origin.of(url) != self.origin:
            raise RegistryError(f"the list of tags of {self.origin} goes on at {Origin.of(url)}")
        return url

    # --- writing

    def mount(self, digest: Digest, source: str) -> str | None:
        """Have a blob of the repository ``source`` of the same registry; return None, or where to upload it."""
        scope = f"{self._push} repository:{source}:pull"
        query = urlencode({"mount": str(digest), "from": source}, safe=":/")
        response = self._send("POST", f"{self._url('blobs', 'uploads')}/?{query}", scope=scope, good=(201, 202))
        response.close()
        return None if response.status == 201 else self._location(response)

    def begin_upload(self) -> str:
        """Return where a new blob is to be uploaded."""
        response = self._send("POST", f"{self._url('blobs', 'uploads')}/", scope=self._push, good=(202,))
        response.close()
        return self._location(response)

    def upload(self, place: str, digest: Digest, size: int, body: Callable[[], Iterable[bytes]]) -> None:
        """Upload a blob whose digest and size are known, in one request, which is not tried again.

        Raises: RegistryError.
        """
        fields = {"Content-Type": _OCTETS}
        url = _with_query(place, digest)
        response = self._send(
            "PUT", url, scope=self._push, fields=fields, body=body, size=size, good=(201, 204), tries=1
        )
        response.close()
        self._check_told(response, digest)

    def upload_stream(self, place: str, body: Callable[[], Iterable[bytes]]) -> str:
        """Upload bytes whose number is not known yet, as they come; return where to `finish_upload`."""
        fields = {"Content-Type": _OCTETS}
        response = self._send("PATCH", place, scope=self._push, fields=fields, body=body, good=(202, 204), tries=1)
        response.close()
        return self._location(response)

    def finish_upload(self, place: str, digest: Digest) -> None:
        """Say which digest the bytes have that were uploaded. Raises: RegistryRefused if the registry has others."""
        url = _with_query(place, digest)
        response = self._send("PUT", url, scope=self._push, size=0, good=(201, 204), tries=1)
        response.close()
        self._check_told(response, digest)

    def put_manifest(self, reference: str, media_type: str, data: bytes) -> Digest:
        """Store a manifest or index under a tag or its digest; return its digest."""
        digest = Digest.sha256(data)
        response = self._send(
            "PUT",
            self._url("manifests", reference),
            scope=self._push,
            fields={"Content-Type": media_type},
            body=lambda: [data],
            size=len(data),
            good=(201, 202, 200, 204),
        )
        response.close()
        self._check_told(response, digest)
        return digest

    def _location(self, response: Response) -> str:
        target = header(response, "Location")
        if not target:
            raise RegistryError(f"{self.origin} does not say where to upload")
        url = urljoin(f"{self.origin}/", target)
        check_step(self.origin, Origin.of(url))
        return url

    def _check_told(self, response: Response, digest: Digest) -> None:
        told = _told_digest(response)
        if told is not None and told != digest:
            raise RegistryError(f"{self.origin} stored {told} where {digest} was sent")


def _with_query(place: str, digest: Digest) -> str:
    return f"{place}{'&' if '?' in place else '?'}digest={digest}"


def _told_digest(response: Response) -> Digest | None:
    text = header(response, "Docker-Content-Digest").strip()
    if not text.startswith("sha256:"):
        return None
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise RegistryError(f"the registry names a malformed digest: {text!r}") from error


def _offset_of(response: Response, offset: int, descriptor: Descriptor) -> int:
    """Return where the bytes of a response begin in the blob. Raises: RegistryError for a part nobody asked for."""
    if response.status == 200:
        length = header(response, "Content-Length")
        if length.isascii() and length.isdigit() and length.lstrip("0") != str(descriptor.size or ""):
            raise RegistryError(f"blob {descriptor.digest} has {length} bytes there, not {descriptor.size}")
        return 0
    found = _RANGE.fullmatch(header(response, "Content-Range").strip())
    total = None if found is None or found[3] is None else int(found[3])
    if not offset or found is None or int(found[1]) != offset or total not in (None, descriptor.size):
        raise RegistryError(f"blob {descriptor.digest}: the server sent another part than was asked for")
    return offset


def _tags(data: bytes) -> list[str]:
    try:
        listed = json.loads(data)["tags"] or []
        found = [str(tag) for tag in listed]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RegistryError("the list of tags is malformed") from error
    wrong = [tag for tag in found if not _TAG.fullmatch(tag)]
    if wrong:
        raise RegistryError(f"the list of tags names {wrong[0][:80]!r}, which is no tag")
    return found
