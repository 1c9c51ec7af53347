"""One blob on its way into a repository: asked for, mounted from another one, or uploaded.

What breaks off is begun anew, and from the start: how much of an upload a registry has kept is its own affair.
Source: OCI distribution-spec, "Pushing Blobs".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from minidock.core.digest import Digest
from minidock.engine.packing import PackedBlob
from minidock.errors import RegistryRefused, RegistryUnreachable
from minidock.registry.client import Repository
from minidock.registry.exchange import TRIES

_NEEDS_SIZE = (405, 411, 413, 501)  # a server that takes no body of unknown length
_PASSING = (404, 408, 429, 500, 502, 503, 504)  # 404: of an upload that the server has forgotten meanwhile


class SizeNeeded(Exception):
    """The registry takes no upload whose size is not known beforehand."""


class LayerUpload:
    """Brings one layer, in one form or another, into ``repository``; ``check`` is called often, and may raise."""

    def __init__(self, repository: Repository, check: Callable[[], None] = lambda: None) -> None:
        self._repository = repository
        self._check = check
        self._place = ""  # of an upload that was begun and not used yet

    def is_there(self, digest: Digest) -> bool:
        """Tell whether the repository has a blob. Raises: RegistryError."""
        self._check()
        return self._repository.has_blob(digest, for_push=True)

    def is_mounted(self, digest: Digest, source: str) -> bool:
        """Have a blob of the repository ``source``; tell whether that went well. Raises: RegistryUnreachable."""
        self._check()
        try:
            place = self._repository.mount(digest, source)
        except RegistryRefused:  # of the other repository we may not read; the upload tells whether we may write here
            return False
        self._place = place or self._place
        return place is None

    def send(self, digest: Digest, size: int, body: Callable[[], Iterable[bytes]]) -> None:
        """Upload a blob, in one request. Raises: RegistryError."""
        self._persist(lambda place: self._repository.upload(place, digest, size, body), lambda: digest)

    def send_packing(self, packed: PackedBlob) -> None:
        """Upload a blob while it is packed. Raises: SizeNeeded, RegistryError."""

        def once(place: str) -> None:
            try:
                finish = self._repository.upload_stream(place, packed.chunks)
            except RegistryRefused as error:
                if error.status in _NEEDS_SIZE:
                    raise SizeNeeded from error
                raise
            self._repository.finish_upload(finish, packed.descriptor.digest)

        # What broke off before all was packed has the digest of something else.
        self._persist(once, lambda: packed.descriptor.digest if packed.is_complete else None)

    def _persist(self, once: Callable[[str], None], sent: Callable[[], Digest | None]) -> None:
        """Try until it is done; an answer that was lost on its way may have said so already.

        ``sent`` returns the digest of what was sent, None if that was not all.
        """
        attempt = 0
        while True:
            attempt += 1
            place = self._place or self._repository.begin_upload()
            self._place = ""
            try:
                once(place)
                return
            except RegistryUnreachable as error:
                if attempt >= TRIES or not error.may_pass:
                    raise
            except RegistryRefused as error:
                if attempt >= TRIES or error.status not in _PASSING:
                    raise
            self._check()
            self._repository.wait(attempt)
            digest = sent()
            if digest is not None and self.is_there(digest):
                return
