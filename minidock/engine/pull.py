"""Pull: from the name of an image at a registry to an image in the store, every byte verified, named last.

The manifest is kept as it came, and so are the blobs that it names: pushed elsewhere it has the same digest.
Source: OCI distribution-spec, "Pull"; docker, `pull` as seen from outside.
"""

from __future__ import annotations

from dataclasses import replace

from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import REPO_DIGESTS, Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.packing import Form, as_layer
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.transfers import TransferNote, TransferObserver
from minidock.engine import images
from minidock.engine.crew import Crew, tell_retries
from minidock.engine.image_list import config_digest
from minidock.engine.platforms import this_platform
from minidock.engine.pull_layers import LayerFetcher
from minidock.engine.remote import look, refused
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, RegistryError, RegistryRefused
from minidock.registry.registries import Registries
from minidock.store.session import Session


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that was pulled; ``digest`` is what the registry has under the name: a manifest or an index."""

    image_id: Digest
    digest: Digest
    is_new: bool


def pull(
    ws: Workspace,
    registries: Registries,
    reference: Reference,
    observer: TransferObserver,
    *,
    platform: Platform | None = None,
    session: Session | None = None,
) -> Pulled:
    """Have an image in the store as its registry has it now, under its name; ``platform`` is None for this machine's.

    With ``session`` it is kept at least until that ends. Raises: RegistryError, MinidockError in docker's words.
    """
    if session is None:
        with ws.store.session() as own:
            return pull(ws, registries, reference, observer, platform=platform, session=own)
    pulled = _pull(ws, registries, reference, observer, platform, session)
    _tell_status(observer, reference.without_digest_tag().familiar, is_new=pulled.is_new)
    return pulled


def pull_all(
    ws: Workspace,
    registries: Registries,
    reference: Reference,
    observer: TransferObserver,
    *,
    platform: Platform | None = None,
) -> tuple[Pulled, ...]:
    """Have the images of all tags of a repository. Raises: RegistryError, MinidockError in docker's words."""
    try:
        tags = registries.repository(reference).telling(tell_retries(observer)).tags()
    except RegistryRefused as error:
        raise refused(reference, error) from error
    with ws.store.session() as session:
        found = [
            _pull(ws, registries, replace(reference, tag=tag, digest=None), observer, platform, session)
            for tag in sorted(tags)
        ]
    _tell_status(observer, reference.familiar_name, is_new=any(pulled.is_new for pulled in found))
    return tuple(found)


def _tell_status(observer: TransferObserver, name: str, *, is_new: bool) -> None:
    observer(TransferNote(f"Status: {'Downloaded newer image for' if is_new else 'Image is up to date for'} {name}"))


def _pull(
    ws: Workspace,
    registries: Registries,
    reference: Reference,
    observer: TransferObserver,
    platform: Platform | None,
    session: Session,
) -> Pulled:
    name = "" if reference.digest else reference.familiar
    before = ws.store.images.find(name) if name else None
    known = None if before is None or platform is not None else _known(ws, session, before, reference)
    if known is not None and known == _digest_now(registries, reference, observer):
        observer(TransferNote(f"{reference.tag}: Pulling from {reference.path}"))
        observer(TransferNote(f"Digest: {known}"))
        assert before is not None
        image_id = config_digest(before)
        assert image_id is not None
        return Pulled(image_id, known, is_new=False)
    sources, remote = look(registries, reference, platform, tell_retries(observer))
    observer(TransferNote(f"{reference.digest or reference.tag}: Pulling from {reference.path}"))
    manifest = remote.manifest
    layers = list(zip(manifest.layers, remote.config.diff_ids, strict=True))
    session.pin([manifest.config.digest, Digest.sha256(manifest.to_bytes())])
    crew = Crew(registries.cancel)
    if not _is_complete(ws, before, manifest, remote.config):
        LayerFetcher(ws, session, sources, observer, crew).fetch(layers)
    repo_digest = f"{reference.familiar_name}@{remote.found.descriptor.digest}"
    image_id, digest = images.publish(
        ws,
        session,
        remote.config,
        [name] if name else [],
        data=remote.config_data,
        manifest=manifest,
        repo_digests=[repo_digest],
    )
    for layer, diff_id in layers:
        ws.store.forms.remember(session, diff_id, Form(as_layer(layer), repositories=(reference.name,)))
    is_new = before is None or before.digest != digest
    observer(TransferNote(f"Digest: {remote.found.descriptor.digest}"))
    ws.store.record_event("image", "pull", reference.familiar, {"name": reference.familiar_name})
    return Pulled(image_id, remote.found.descriptor.digest, is_new)


def _known(ws: Workspace, session: Session, before: Descriptor, reference: Reference) -> Digest | None:
    """Return what a registry had under a name when it was pulled; None if that is not the whole of what is here now."""
    names = [text.rpartition("@") for text in before.annotations.get(REPO_DIGESTS, "").split()]
    known = [Digest.parse(digest) for name, _, digest in names if name == reference.familiar_name]
    image_id = config_digest(before)
    if not known or image_id is None:
        return None
    session.pin([before.digest, image_id])
    try:
        manifest = Manifest.from_bytes(ws.store.blobs.read(before.digest))
        config = images.load(ws, image_id).config
    except MinidockError:
        return None
    session.pin([*(layer.digest for layer in manifest.layers), *config.diff_ids])
    offered = config.platform
    is_ours = this_platform().choose([offered]) is not None
    return known[-1] if is_ours and _is_complete(ws, before, manifest, config) else None


def _digest_now(registries: Registries, reference: Reference, observer: TransferObserver) -> Digest | None:
    """Return what a registry has under a name, without asking for that itself: such questions are not counted.

    None where the first one that is asked does not tell: then the manifest will.
    """
    try:
        first = registries.sources(reference)[0]().telling(tell_retries(observer))
        return first.manifest_digest(str(reference.tag))
    except RegistryError:
        return None


def _is_complete(ws: Workspace, known: Descriptor | None, manifest: Manifest, config: ImageConfig) -> bool:
    """Tell whether the image is in the store already, with all of its blobs."""
    if known is None or known.digest != Digest.sha256(manifest.to_bytes()):
        return False
    needed = [*(layer.digest for layer in manifest.layers), *config.diff_ids, manifest.config.digest]
    return all(map(ws.store.blobs.has, needed))
