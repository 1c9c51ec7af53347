"""The layers of an image that is pulled: several at once, each downloaded once however many processes want it.

A layer is kept twice: as it came, so that the image can be pushed unchanged, and as a plain tar, which everything
else reads. It is written to a temporary file, compared with its digest, and only then unpacked or published.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial

from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.transfers import TransferObserver, TransferProgress, TransferState
from minidock.engine.crew import Crew, tell_retries
from minidock.engine.incoming import check_content, ingest, known_layers
from minidock.engine.workspace import Workspace
from minidock.errors import RegistryError, RegistryRefused, RegistryUnreachable
from minidock.registry.client import Repository
from minidock.registry.fetching import fetch
from minidock.store.blobs import BlobWriter
from minidock.store.session import Session


@dataclass(slots=True)
class Download:
    """A blob that is being fetched into the store, for `fetch`."""

    make: Callable[[], BlobWriter]
    watch: Callable[[int], None]
    writer: BlobWriter | None = None

    def opened(self) -> BlobWriter:
        """Return the writer."""
        if self.writer is None:
            self.writer = self.make()
        return self.writer

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return 0 if self.writer is None else self.writer.size

    def write(self, data: bytes, /) -> None:
        """Append bytes."""
        self.opened().write(data)
        self.watch(self.size)

    def restart(self) -> None:
        """Begin anew."""
        self.discard()

    def digest(self) -> Digest:
        """Return the digest of everything."""
        return self.opened().complete()

    def discard(self) -> None:
        """Give up what there is."""
        if self.writer is not None:
            self.writer.discard()
            self.writer = None


class LayerFetcher:
    """Brings layers into the store from the first of ``repositories`` that has them.

    Without ``keeps_packed`` the store gets their tars only.
    """

    def __init__(
        self,
        ws: Workspace,
        session: Session,
        repositories: Sequence[Callable[[], Repository]],
        observer: TransferObserver,
        crew: Crew,
        *,
        keeps_packed: bool = True,
    ) -> None:
        self._ws = ws
        self._session = session
        self._keeps_packed = keeps_packed
        self._repositories = repositories
        self._observer = observer
        self._crew = crew

    def fetch(self, layers: Sequence[tuple[Descriptor, Digest]]) -> None:
        """Have all layers in the store, each given with its diff_id. Raises: RegistryError, TarError, BlobCorrupt."""
        distinct = {(layer.digest, diff_id): layer for layer, diff_id in layers}
        self._session.pin(digest for layer, diff_id in layers for digest in (layer.digest, diff_id))
        missing = []
        here = {pair for pair, layer in distinct.items() if self._is_here(layer, pair[1])}
        here &= known_layers(self._ws) if here else set()
        for (digest, diff_id), layer in distinct.items():
            is_here = (digest, diff_id) in here
            text = "Already exists" if is_here else "Pulling fs layer"
            self._observer(TransferState(layer.digest.short, text, is_last=is_here))
            if not is_here:
                missing.append((layer, diff_id))
        self._crew.run([partial(self._one, layer, diff_id) for layer, diff_id in missing])

    def fetch_one(self, layer: Descriptor, diff_id: Digest) -> None:
        """Have one layer in the store, in this thread. Raises: as `fetch`."""
        self._session.pin([layer.digest, diff_id])
        if not self._is_here(layer, diff_id):
            self._one(layer, diff_id)

    def _is_here(self, layer: Descriptor, diff_id: Digest) -> bool:
        blobs = self._ws.store.blobs
        return blobs.has(diff_id) and (blobs.has(layer.digest) or not self._keeps_packed)

    def _one(self, layer: Descriptor, diff_id: Digest) -> None:
        item = layer.digest.short
        what = f"another process that downloads layer {item}"
        with self._ws.store.locks.key(layer.digest.hex, what, self._crew.check):
            was_here = self._is_here(layer, diff_id)
            download = self._downloaded(layer)
            try:
                self._unpack(layer, diff_id, download)
                if download is not None and self._keeps_packed:
                    download.opened().publish(self._ws.store.layout)
                elif download is not None:
                    download.discard()
            except BaseException:
                if download is not None:
                    download.discard()
                raise
        self._observer(TransferState(item, "Already exists" if was_here else "Pull complete", is_last=True))

    def _downloaded(self, layer: Descriptor) -> Download | None:
        """Return a layer as it came, whole and verified; None if the store has it."""
        if self._ws.store.blobs.has(layer.digest):
            return None
        item = layer.digest.short

        def watch(size: int) -> None:
            self._crew.check()
            self._observer(TransferProgress(item, "Downloading", size, layer.size))

        partials, session = self._ws.store.partials, self._session
        # Where it goes on is known before the first byte comes; what turns out to be wrong begins anew.
        download = Download(lambda: self._ws.store.blobs.writer(session), watch)
        download.writer = partials.resume(session, layer.digest, layer.size)
        try:
            self._from_anywhere(layer, download)
        except BaseException as error:
            is_cut = not isinstance(error, RegistryError) or isinstance(error, RegistryUnreachable)
            if is_cut and download.writer is not None and download.size < layer.size:
                partials.keep(session, download.writer, layer.digest)
            else:
                download.discard()
            raise
        self._observer(TransferState(item, "Download complete"))
        return download

    def _from_anywhere(self, layer: Descriptor, download: Download) -> None:
        retrying = tell_retries(self._observer, layer.digest.short)
        for position, repository in enumerate(self._repositories):
            try:
                fetch(repository().telling(retrying), layer, download)
                return
            except RegistryError as error:
                if position == len(self._repositories) - 1:
                    raise blob_missing(layer, error) from error
                if not isinstance(error, RegistryUnreachable):
                    download.discard()

    def _unpack(self, layer: Descriptor, diff_id: Digest, download: Download | None) -> None:
        blobs = self._ws.store.blobs
        with self._ws.store.locks.key(Digest.sha256(f"unpack {diff_id}".encode()).hex, "a layer", self._crew.check):
            is_here = blobs.has(diff_id)
            if is_here and layer.digest == diff_id:
                return
            path = self._ws.store.layout.blob(layer.digest) if download is None else download.opened().path
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as packed:

                def watch() -> None:
                    self._crew.check()
                    done = min(packed.tell(), layer.size)
                    self._observer(TransferProgress(layer.digest.short, "Extracting", done, layer.size))

                if is_here:
                    check_content(self._ws, packed, diff_id, watch)
                else:
                    ingest(self._ws, self._session, packed, diff_id, watch)


def blob_missing(layer: Descriptor, error: RegistryError) -> RegistryError:
    """Return an error that names the blob where the registry does not have it."""
    if isinstance(error, RegistryRefused) and error.status == 404:
        return RegistryError(f"blob {layer.digest} is not in the registry, though the manifest names it")
    return error
