"""Uploads that break off are begun anew, and only what was sent as a whole is looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from minidock.core.digest import Digest
from minidock.core.packing import Compression
from minidock.engine import images
from minidock.engine.layer_upload import LayerUpload
from minidock.engine.packing import PackedBlob
from minidock.errors import RegistryUnreachable
from minidock.registry.client import Repository
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import import_base, workspace


class Breaking:
    """A repository that has the blob without content, and whose first connection breaks before anything is sent."""

    def __init__(self) -> None:
        self.blobs = {Digest.sha256(b"")}
        self._is_broken = True
        self._sent = b""

    def begin_upload(self) -> str:
        return "place"

    def wait(self, attempt: int) -> None:
        pass

    def has_blob(self, digest: Digest, *, for_push: bool) -> bool:
        return digest in self.blobs

    def upload_stream(self, place: str, body: Callable[[], Iterable[bytes]]) -> str:
        if self._is_broken:
            self._is_broken = False
            raise RegistryUnreachable("unexpected EOF")
        self._sent = b"".join(body())
        return place

    def finish_upload(self, place: str, digest: Digest) -> None:
        assert digest == Digest.sha256(self._sent)
        self.blobs.add(digest)


def test_an_upload_that_broke_before_its_first_bytes_is_not_taken_for_done(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "store", FakeRuntime({}))
    import_base(ws)
    (layer,) = images.find(ws, "base:1").config.diff_ids
    packed = PackedBlob(ws, layer, Compression("gzip"))
    repository = Breaking()
    LayerUpload(cast(Repository, repository)).send_packing(packed)
    assert packed.descriptor.digest in repository.blobs
    assert packed.descriptor.size > 0
