"""The layers of an image that is pushed: asked for first, then mounted, then uploaded, several at once.

What the store holds packed goes as it is. What it holds as a tar is packed on the way: a small layer in memory, a large
one while it is uploaded; only where a registry must know the size beforehand, into a temporary file. The packed bytes
go with the push; what they were is remembered, so that the next one asks and uploads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.packing import UNCOMPRESSED, Compression, Form, as_layer, mountable, preferred
from minidock.core.transfers import TransferObserver, TransferProgress, TransferState
from minidock.engine.crew import Crew, tell_retries
from minidock.engine.layer_upload import LayerUpload, SizeNeeded
from minidock.engine.packing import PackedBlob
from minidock.engine.workspace import Workspace
from minidock.registry.client import Repository
from minidock.store.session import Session

_SMALL = 4 << 20  # bytes of a tar
_MOST_MOUNTS = 3
_AS_IT_IS = Compression(UNCOMPRESSED)
_EXISTS, _PUSHED = "Layer already exists", "Pushed"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A layer to push; ``kept`` is the form that its manifest names, which must stay."""

    diff_id: Digest
    kept: Descriptor | None = None

    @property
    def key(self) -> str:
        """What tells it from other layers."""
        return f"{self.diff_id} {self.kept.digest if self.kept else ''}"


class LayerPusher:
    """Brings layers into one repository, ``domain`` and path of which are what images are named by."""

    def __init__(
        self,
        ws: Workspace,
        session: Session,
        repository: Repository,
        domain: str,
        observer: TransferObserver,
        crew: Crew,
        compression: Compression,
    ) -> None:
        self._ws = ws
        self._session = session
        self._repository = repository
        self._domain = domain
        self._observer = observer
        self._crew = crew
        self._compression = compression
        self._done: dict[str, Form] = {}

    @property
    def _place(self) -> str:
        return f"{self._domain}/{self._repository.path}"

    def push(self, layers: Sequence[Outgoing]) -> tuple[Form, ...]:
        """Have all layers in the repository; return their forms there. Raises: RegistryError, StoreError."""
        distinct = {layer.key: layer for layer in layers}
        missing = [layer for key, layer in distinct.items() if key not in self._done]
        for layer in reversed(distinct.values()):
            is_there = layer.key in self._done
            text = _EXISTS if is_there else "Preparing"
            self._observer(TransferState(layer.diff_id.short, text, is_last=is_there))
        self._crew.run([partial(self._one, layer) for layer in missing])
        return tuple(self._done[layer.key] for layer in layers)

    def put(self, digest: Digest, data: bytes) -> None:
        """Have a small blob in the repository. Raises: RegistryError."""
        upload = LayerUpload(self._repository)
        if not upload.is_there(digest):
            upload.send(digest, len(data), lambda: [data])

    def _one(self, layer: Outgoing) -> None:
        retrying = tell_retries(self._observer, layer.diff_id.short)
        upload = LayerUpload(self._repository.telling(retrying), self._crew.check)
        forms = self._forms(layer)
        form, text = self._there(upload, forms)
        if form is None:
            form, text = self._sent(upload, layer, forms)
        place = Form(as_layer(form.blob), form.made, (self._place,))
        self._ws.store.forms.remember(self._session, layer.diff_id, place)
        self._done[layer.key] = form
        self._observer(TransferState(layer.diff_id.short, text, is_last=True))

    def _forms(self, layer: Outgoing) -> tuple[Form, ...]:
        """Return the forms that a layer may go in, best first."""
        known = self._ws.store.forms.get(layer.diff_id)
        if layer.kept is None:
            return preferred(known, self._compression)
        places = [form.repositories for form in known if form.blob.digest == layer.kept.digest]
        return (Form(layer.kept, "", *places[:1]),)

    def _there(self, upload: LayerUpload, forms: Sequence[Form]) -> tuple[Form | None, str]:
        """Return the first form that the repository has, or can have without an upload, and what docker says of it."""
        for form in forms:
            if upload.is_there(form.blob.digest):
                return form, _EXISTS
        for form in forms:
            for source in mountable(form, self._domain, self._repository.path)[:_MOST_MOUNTS]:
                if upload.is_mounted(form.blob.digest, source):
                    return form, f"Mounted from {source}"
        return None, ""

    def _sent(self, upload: LayerUpload, layer: Outgoing, forms: Iterable[Form]) -> tuple[Form, str]:
        """Upload a layer, packed before or now."""
        for form in forms:
            if layer.kept is not None or self._ws.store.blobs.has(form.blob.digest):
                upload.send(form.blob.digest, form.blob.size, self._packed(layer, form.blob, _AS_IT_IS).chunks)
                return form, _PUSHED
        tar = self._ws.store.layers.get(layer.diff_id).blob
        packed = self._packed(layer, tar, self._compression)
        text = self._sent_from_memory(upload, packed) if tar.size <= _SMALL else self._sent_packing(upload, packed)
        return Form(packed.descriptor, self._compression.label), text

    def _packed(self, layer: Outgoing, blob: Descriptor, compression: Compression) -> PackedBlob:
        def watch(done: int) -> None:
            self._crew.check()
            self._observer(TransferProgress(layer.diff_id.short, "Pushing", done, blob.size))

        self._session.pin([blob.digest])
        return PackedBlob(self._ws, blob.digest, compression, watch)

    def _sent_from_memory(self, upload: LayerUpload, packed: PackedBlob) -> str:
        data = b"".join(packed.chunks())
        return _sent_if_needed(upload, packed.descriptor, lambda: [data])

    def _sent_packing(self, upload: LayerUpload, packed: PackedBlob) -> str:
        try:
            upload.send_packing(packed)
        except SizeNeeded:
            return self._sent_from_file(upload, packed)
        return _PUSHED

    def _sent_from_file(self, upload: LayerUpload, packed: PackedBlob) -> str:
        path = self._session.temporary()
        try:
            fd = self._ws.store.disk.open_new(path)
            try:
                for chunk in packed.chunks():
                    self._ws.store.disk.write(fd, chunk)
            finally:
                os.close(fd)
            return _sent_if_needed(upload, packed.descriptor, partial(_read, path))
        finally:
            self._session.discard(path)


def _sent_if_needed(upload: LayerUpload, blob: Descriptor, body: Callable[[], Iterable[bytes]]) -> str:
    """Upload a blob whose digest is known only now, if it is not there; return what docker says."""
    if upload.is_there(blob.digest):
        return _EXISTS
    upload.send(blob.digest, blob.size, body)
    return _PUSHED


def _read(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
