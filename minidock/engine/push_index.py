"""Push of an image for several platforms: the image of each by its digest, then the index under the name.

Source: OCI distribution-spec, "Push", "Pushing Manifests".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidock.core import mediatype
from minidock.core.digest import Digest
from minidock.core.image_index import ImageIndex, PlatformManifest
from minidock.core.packing import Compression
from minidock.core.reference import Reference
from minidock.core.transfers import TransferObserver
from minidock.engine import images
from minidock.engine.crew import Crew
from minidock.engine.push import push_parts, refused
from minidock.engine.push_layers import LayerPusher
from minidock.engine.workspace import Workspace
from minidock.errors import RegistryRefused
from minidock.registry.registries import Registries
from minidock.store.session import Session

if TYPE_CHECKING:
    from minidock.engine.index_outputs import IndexResult


def push_index(
    ws: Workspace,
    session: Session,
    registries: Registries,
    reference: Reference,
    result: IndexResult,
    observer: TransferObserver,
    compression: Compression,
) -> ImageIndex:
    """Have the images of a build at the registry that a name says; return their index there. Raises: RegistryError."""
    try:
        repository = registries.repository(reference)
        crew = Crew(registries.cancel)
        pusher = LayerPusher(ws, session, repository, reference.domain, observer, crew, compression)
        found = []
        for platform, image in result.images:
            config = image.config.to_bytes()
            manifest = images.manifest_of(ws, image.config, config, image.annotations)
            manifest = push_parts(ws, session, pusher, manifest, image.config.diff_ids, config)
            data = manifest.to_bytes()
            repository.put_manifest(str(Digest.sha256(data)), manifest.media_type, data)
            found.append(PlatformManifest(platform, manifest, image.of_descriptor))
        index = result.index(found)
        repository.put_manifest(str(reference.tag), mediatype.INDEX, index.data)
        return index
    except RegistryRefused as error:
        raise refused(reference, error) from error
