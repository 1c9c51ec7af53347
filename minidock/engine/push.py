"""Push: from an image of the store to the name of one at a registry, which is given when all blobs are there.

The manifest of an image that came from elsewhere goes as it came. One that was made here names packed layers there:
the image ID stays the same, the digest of the manifest is noted at the image.
Source: OCI distribution-spec, "Push"; docker, `push` as seen from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from minidock.core.dataclass import dataclass
from minidock.core.descriptor import CONFIG_DIGEST, REF_NAME, Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.packing import USUAL, Compression, as_layer, kept_as_it_is
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.transfers import TransferNote, TransferObserver
from minidock.engine import images
from minidock.engine.crew import Crew, tell_retries
from minidock.engine.push_layers import LayerPusher, Outgoing
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, RegistryError, RegistryRefused
from minidock.registry.client import Repository
from minidock.registry.registries import Registries
from minidock.store.session import Session

_UNAUTHORIZED = ("UNAUTHORIZED", "DENIED")


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image at a registry: its name there, and the descriptor of its manifest."""

    reference: Reference
    manifest: Descriptor


def push(
    ws: Workspace,
    registries: Registries,
    reference: Reference,
    observer: TransferObserver,
    *,
    compression: Compression = USUAL,
    platform: Platform | None = None,
    session: Session | None = None,
) -> Pushed:
    """Have an image of the store at the registry that its name says; with ``platform`` it must be for that.

    Raises: RegistryError, MinidockError in docker's words.
    """
    if session is None:
        with ws.store.session() as own:
            return push(ws, registries, reference, observer, compression=compression, platform=platform, session=own)
    (pushed,) = _push(ws, session, registries, [reference], observer, compression, platform)
    return pushed


def push_all(
    ws: Workspace,
    registries: Registries,
    reference: Reference,
    observer: TransferObserver,
    *,
    compression: Compression = USUAL,
    platform: Platform | None = None,
) -> tuple[Pushed, ...]:
    """Push all tags of a repository, in their order. Raises: RegistryError, MinidockError in docker's words."""
    named = (item.annotations.get(REF_NAME, "") for item in ws.store.images.list())
    found = [Reference.parse(name) for name in sorted(named) if name.rpartition(":")[0] == reference.familiar_name]
    with ws.store.session() as session:
        return _push(ws, session, registries, found or [reference], observer, compression, platform)


def _push(
    ws: Workspace,
    session: Session,
    registries: Registries,
    references: Sequence[Reference],
    observer: TransferObserver,
    compression: Compression,
    platform: Platform | None,
) -> tuple[Pushed, ...]:
    first = references[0]
    observer(TransferNote(f"The push refers to repository [{first.name}]"))
    found = [(reference, _entry(ws, reference)) for reference in references]
    for reference, entry in found:
        config = images.load(ws, _image_id(entry)).config
        images.require_platform(config, [platform] if platform else (), reference.familiar)
    try:
        repository = registries.repository(first).telling(tell_retries(observer))
        crew = Crew(registries.cancel)
        layers = LayerPusher(ws, session, repository, first.domain, observer, crew, compression)
        return tuple(
            _push_one(ws, session, repository, layers, reference, entry, observer) for reference, entry in found
        )
    except RegistryRefused as error:
        raise refused(first, error) from error


def _entry(ws: Workspace, reference: Reference) -> Descriptor:
    entry = ws.store.images.find(reference.familiar)
    if entry is None or CONFIG_DIGEST not in entry.annotations:
        raise MinidockError(
            f"An image does not exist locally with the tag: {reference.familiar_name}",
            hint=f"name one so first: `minidock tag IMAGE {reference.familiar}`; see `minidock image ls`",
        )
    return entry


def _image_id(entry: Descriptor) -> Digest:
    return Digest.parse(entry.annotations[CONFIG_DIGEST])


def _push_one(
    ws: Workspace,
    session: Session,
    repository: Repository,
    pusher: LayerPusher,
    reference: Reference,
    entry: Descriptor,
    observer: TransferObserver,
) -> Pushed:
    image_id = _image_id(entry)
    session.pin([entry.digest, image_id])
    manifest = Manifest.from_bytes(ws.store.blobs.read(entry.digest))
    diff_ids = images.load(ws, image_id).config.diff_ids
    manifest = push_parts(ws, session, pusher, manifest, diff_ids, ws.store.blobs.read(image_id))
    data = manifest.to_bytes()
    digest = repository.put_manifest(str(reference.tag), manifest.media_type, data)
    ws.store.images.add_repo_digest(session, entry.digest, f"{reference.familiar_name}@{digest}")
    observer(TransferNote(f"{reference.tag}: digest: {digest} size: {len(data)}"))
    ws.store.record_event("image", "push", reference.familiar, {"name": reference.familiar_name})
    return Pushed(reference, Descriptor(manifest.media_type, digest, len(data)))


def push_parts(
    ws: Workspace,
    session: Session,
    pusher: LayerPusher,
    manifest: Manifest,
    diff_ids: Sequence[Digest],
    config: bytes,
) -> Manifest:
    """Have the layers and the config of an image at the registry; return its manifest there. Raises: RegistryError."""
    session.pin([*diff_ids, *(layer.digest for layer in manifest.layers)])
    outgoing = [
        Outgoing(diff_id, layer if kept_as_it_is(layer, diff_id, ws.store.forms.get(diff_id)) else None)
        for diff_id, layer in zip(diff_ids, manifest.layers, strict=True)
    ]
    forms = pusher.push(outgoing)
    if any(layer.kept is None for layer in outgoing):
        manifest = manifest.with_layers(tuple(as_layer(form.blob) for form in forms))
    pusher.put(manifest.config.digest, config)
    return manifest


def refused(reference: Reference, error: RegistryRefused) -> RegistryError:
    """Return what docker says where a registry does not let a user write."""
    if error.status not in (401, 403) and error.code not in _UNAUTHORIZED:
        return error
    text = "denied: requested access to the resource is denied"
    if error.status == HTTPStatus.UNAUTHORIZED:
        text = "unauthorized: authentication required"
    if error.detail and error.code in _UNAUTHORIZED:
        text = f"{error.code.lower()}: {error.detail}"
    return RegistryError(text, hint=f"`minidock login {reference.domain}`, and a repository where you may write")
