"""Pull: from the name of an image at a registry to an image in the store, every byte verified, named last.

The manifest is kept as it came, and so are the blobs that it names: pushed elsewhere it has the same digest.
Source: OCI distribution-spec, "Pull"; docker, `pull` as seen from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from minidock.core import mediatype
from minidock.core.config import ImageConfig
from minidock.core.descriptor import Descriptor, Index, Manifest, load_object
from minidock.core.digest import Digest
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.transfers import TransferNote, TransferObserver
from minidock.engine import images
from minidock.engine.definition import this_platform
from minidock.engine.incoming import check_layers, choose
from minidock.engine.pull_layers import Crew, LayerFetcher
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, RegistryError, RegistryRefused, StoreError
from minidock.registry.client import Found, Repository
from minidock.registry.fetching import fetch
from minidock.registry.registries import Registries
from minidock.store.session import Session

LARGEST_CONFIG = 4 << 20
_DEEPEST = 4  # an index in an index …
_CONFIGS = (mediatype.CONFIG, mediatype.DOCKER_CONFIG)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that was pulled; ``digest`` is what the registry has under the name: a manifest or an index."""

    image_id: Digest
    digest: Digest
    is_new: bool


@dataclass(frozen=True, slots=True)
class Remote:
    """An image at a registry: what the name leads to, the manifest for a platform, the bytes of its config."""

    found: Found
    manifest: Manifest
    config_data: bytes
    config: ImageConfig


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
        tags = registries.repository(reference).tags()
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
    sources, remote = look(registries, reference, platform)
    observer(TransferNote(f"{reference.digest or reference.tag}: Pulling from {reference.path}"))
    name = "" if reference.digest else reference.familiar
    before = ws.store.images.find(name) if name else None
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
    is_new = before is None or before.digest != digest
    observer(TransferNote(f"Digest: {remote.found.descriptor.digest}"))
    ws.store.record_event("image", "pull", reference.familiar, {"name": reference.familiar_name})
    return Pulled(image_id, remote.found.descriptor.digest, is_new)


def look(
    registries: Registries, reference: Reference, platform: Platform | None = None
) -> tuple[Sequence[Callable[[], Repository]], Remote]:
    """Return an image as a registry has it, and the repositories that its blobs come from, best first.

    Raises: RegistryError, MinidockError in docker's words.
    """
    if reference.familiar_name == "scratch":
        raise MinidockError("'scratch' is a reserved name")
    sources = registries.sources(reference)
    for position, source in enumerate(sources):
        try:
            return sources[position:], _look(source(), reference, platform)
        except RegistryRefused as error:
            if position == len(sources) - 1:
                raise refused(reference, error) from error
        except RegistryError:
            if position == len(sources) - 1:
                raise
    raise AssertionError("the registry itself is always the last source")


def _look(repository: Repository, reference: Reference, platform: Platform | None) -> Remote:
    found = repository.manifest(reference.digest or reference.tag or "latest")
    manifest = _manifest(repository, found, platform or this_platform())
    if manifest.config.media_type not in _CONFIGS:
        raise MinidockError(
            f"{reference.familiar}: this is no image, its config is of the kind {manifest.config.media_type}"
        )
    data = _config(repository, manifest.config)
    config = ImageConfig.from_bytes(data)
    check_layers(config, manifest.layers)
    offered = Platform(config.os, config.architecture, config.variant)
    if platform is not None and platform.choose([offered]) is None:
        raise MinidockError(
            f"image with reference {reference.familiar} was found but its platform ({offered}) does not match the "
            f"specified platform ({platform})"
        )
    return Remote(found, manifest, data, config)


def _manifest(repository: Repository, found: Found, platform: Platform) -> Manifest:
    """Return the manifest for a platform that an answer is, or leads to by indexes."""
    for _ in range(_DEEPEST):
        members = load_object(found.data, "image manifest")
        _check_kind(members.get("mediaType"), found.descriptor.media_type, members.get("schemaVersion"))
        if "manifests" not in members:
            return Manifest.from_bytes(found.data)
        complaint = "no matching manifest for"
        try:
            chosen = choose(Index.from_bytes(found.data).manifests, platform, complaint)
        except MinidockError as error:
            if not str(error).startswith(complaint):
                raise
            raise MinidockError(f"{error} in the manifest list entries") from error
        child = repository.manifest(chosen.digest, chosen.size)
        found = Found(Descriptor(chosen.media_type, chosen.digest, chosen.size), child.data)
    raise StoreError(f"more than {_DEEPEST} indexes lead to each other")


def _check_kind(inside: object, outside: str, version: object) -> None:
    """Refuse a document that says to be another kind than those who led to it say, and those of long ago."""
    if outside.startswith(_SCHEMA_1) or version == 1:
        raise MinidockError(
            "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has "
            "been removed. Suggest the author of the image to upgrade to the OCI Format or Docker Image manifest "
            "version 2, schema 2"
        )
    known = (*mediatype.MANIFESTS, *mediatype.INDEXES)
    if inside is not None and outside in known and inside != outside:
        raise StoreError(f"image manifest: it says to be {inside!r}, but {outside!r} was announced")


class _Memory:
    """Takes a small blob."""

    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes, /) -> None:
        self.data += data

    def restart(self) -> None:
        self.data.clear()

    def digest(self) -> Digest:
        return Digest.sha256(bytes(self.data))


def _config(repository: Repository, descriptor: Descriptor) -> bytes:
    if descriptor.size > LARGEST_CONFIG:
        raise StoreError(f"the config of the image has {descriptor.size} bytes, at most {LARGEST_CONFIG} are accepted")
    memory = _Memory()
    fetch(repository, descriptor, memory)
    return bytes(memory.data)


def _is_complete(ws: Workspace, known: Descriptor | None, manifest: Manifest, config: ImageConfig) -> bool:
    """Tell whether the image is in the store already, with all of its blobs."""
    if known is None or known.digest != Digest.sha256(manifest.to_bytes()):
        return False
    needed = [*(layer.digest for layer in manifest.layers), *config.diff_ids, manifest.config.digest]
    return all(map(ws.store.blobs.has, needed))


def refused(reference: Reference, error: RegistryRefused) -> MinidockError:
    """Return what docker says where a registry does not give a manifest."""
    name = reference.without_digest_tag().familiar
    if error.status in (401, 403) or error.code in ("DENIED", "UNAUTHORIZED", "NAME_UNKNOWN"):
        detail = "denied: requested access to the resource is denied"
        if error.code == "UNAUTHORIZED" and error.detail:
            detail = f"unauthorized: {error.detail}"
        return RegistryError(
            f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
            f"'minidock login': {detail}"
        )
    if error.status == 404:
        return RegistryError(f"manifest for {name} not found: manifest unknown: {error.detail or 'manifest unknown'}")
    return error
