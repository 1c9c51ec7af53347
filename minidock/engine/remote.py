"""What a registry says of an image: manifest and config, checked before anything is believed. Nothing is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from minidock.core import mediatype
from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor, Index, Manifest, load_object
from minidock.core.digest import Digest
from minidock.core.inspection import image_members
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.engine.incoming import check_layers, choose
from minidock.engine.platforms import this_platform
from minidock.errors import MinidockError, RegistryError, RegistryRefused, StoreError
from minidock.registry.client import Found, Repository
from minidock.registry.exchange import Waiting, untold
from minidock.registry.fetching import fetch
from minidock.registry.registries import Registries

LARGEST_CONFIG = 4 << 20
_DEEPEST = 4  # an index in an index …
_CONFIGS = (mediatype.CONFIG, mediatype.DOCKER_CONFIG)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"


@dataclass(frozen=True, slots=True)
class Remote:
    """An image at a registry: what the name leads to, the manifest for a platform, the bytes of its config."""

    found: Found
    manifest: Manifest
    config_data: bytes
    config: ImageConfig


def look(
    registries: Registries, reference: Reference, platform: Platform | None = None, waiting: Waiting = untold
) -> tuple[Sequence[Callable[[], Repository]], Remote]:
    """Return an image as a registry has it, and the repositories that its blobs come from, best first.

    ``waiting`` is told of pauses before another try.
    Raises: RegistryError, MinidockError in docker's words.
    """
    if reference.familiar_name == "scratch":
        raise MinidockError("'scratch' is a reserved name")
    sources = registries.sources(reference)
    for position, source in enumerate(sources):
        try:
            return sources[position:], _look(source().telling(waiting), reference, platform)
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
    data = small_blob(repository, manifest.config)
    config = ImageConfig.from_bytes(data)
    check_layers(config, manifest.layers)
    offered = config.platform
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


def small_blob(repository: Repository, descriptor: Descriptor) -> bytes:
    """Return a config, compared with its digest. Raises: StoreError if it is too large, RegistryError."""
    if descriptor.size > LARGEST_CONFIG:
        raise StoreError(f"the config of the image has {descriptor.size} bytes, at most {LARGEST_CONFIG} are accepted")
    memory = _Memory()
    fetch(repository, descriptor, memory)
    return bytes(memory.data)


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


def inspect_remote(registries: Registries, text: str, platform: Platform | None = None) -> dict[str, Any]:
    """Return the members of an image at a registry, as of one in the store, and its manifest beside them.

    ``Size`` is what a pull would download. Raises: InvalidReference, RegistryError.
    """
    reference = Reference.parse(text)
    _, remote = look(registries, reference, platform)
    manifest = remote.manifest
    names = [] if reference.digest else [reference.familiar]
    size = sum(layer.size for layer in manifest.layers) + manifest.config.size
    members = image_members(
        manifest.config.digest,
        remote.config,
        names,
        size,
        remote.found.descriptor,
        [f"{reference.familiar_name}@{remote.found.descriptor.digest}"],
    )
    return {**members, "Manifest": json.loads(manifest.to_bytes())}
