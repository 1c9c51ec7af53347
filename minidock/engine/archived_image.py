"""An image as an archive has it, its layers in the store and compared, before a name leads to it."""

from __future__ import annotations

from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Manifest
from minidock.core.digest import Digest
from minidock.engine import images
from minidock.errors import InvalidReference, InvalidRequest, MinidockError


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """An image of an archive; ``data`` are the bytes of its config, ``others`` configs of its other platforms there."""

    config: ImageConfig
    data: bytes
    names: tuple[str, ...]
    manifest: Manifest | None = None
    others: tuple[Digest, ...] = ()

    @property
    def image_id(self) -> Digest:
        """The digest of its config."""
        return Digest.sha256(self.data)


def familiar_name(name: str) -> str:
    """Return the familiar form of a name in an archive. Raises: MinidockError for what is none."""
    try:
        return images.new_name(name)
    except (InvalidReference, InvalidRequest) as error:
        raise MinidockError(f"invalid name of an image in the archive: {error}") from error
