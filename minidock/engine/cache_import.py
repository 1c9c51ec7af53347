"""``--cache-from``: results of steps that another machine has left, looked up by key, fetched when they are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from minidock.core.build_options import CacheOption
from minidock.core.cache_manifest import CACHE_CONFIG, CacheConfig, CachedResult
from minidock.core.descriptor import REF_NAME, Descriptor, Index, Manifest
from minidock.core.digest import Digest
from minidock.engine.archive_files import Files, LayoutFiles, blob_path, ingest_layer, read_document
from minidock.engine.progress import Progress
from minidock.engine.save import INDEX_FILE
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, MinidockError
from minidock.store.session import Session

DEFAULT_TAG = "latest"


@dataclass(frozen=True, slots=True)
class CacheSource:
    """One cache: its results by key, its layers by diff_id, and where the blobs are."""

    name: str
    files: Files
    results: Mapping[Digest, CachedResult]
    layers: Mapping[Digest, Descriptor]


class ImportedCache:
    """The caches of other machines, first named first asked."""

    def __init__(self, ws: Workspace, sources: Sequence[CacheSource], warn: Callable[[str], None]) -> None:
        self._ws = ws
        self._sources = sources
        self._warn = warn
        self._lock = threading.Lock()
        self.damaged: set[Digest] = set()  # layers that could not be used

    def get(self, key: Digest) -> CachedResult | None:
        """Return what a key stands for."""
        return next((source.results[key] for source in self._sources if key in source.results), None)

    def holds(self, diff_id: Digest) -> bool:
        """Tell whether one of the caches has a layer, not looking at it."""
        return any(diff_id in source.layers for source in self._sources)

    def fetch(self, session: Session, diff_id: Digest) -> bool:
        """Store a layer, verified, and tell whether that went well; why not is told as a warning."""
        with self._lock:
            for source in self._sources:
                if diff_id in source.layers:
                    try:
                        ingest_layer(self._ws, session, source.files, source.layers[diff_id], diff_id)
                        return True
                    except (MinidockError, OSError) as error:
                        self.damaged.add(diff_id)
                        self._warn(f"layer {diff_id.short} of {source.name} is not used: {error}")
        return False


def imported(ws: Workspace, options: Sequence[CacheOption], progress: Progress) -> ImportedCache | None:
    """Read the caches that a build may use; one that cannot be read is told and left out, for a build can do without.

    Raises: BuildError for an option that makes no sense.
    """
    sources = []
    for option in options:
        if option.type != "local":
            continue
        place = option.attributes.get("src", "")
        if not place:
            raise BuildError("local cache importer requires src")
        with progress.internal(f"importing cache manifest from local:{place}") as step:
            try:
                sources.append(open_local(place, option.attributes))
            except MinidockError as error:
                step.status(f"not used: {error}")
                progress.warn(f"local cache import at {place} is not used: {error}")
    return ImportedCache(ws, sources, progress.warn) if sources else None


def open_local(place: str, attributes: Mapping[str, str]) -> CacheSource:
    """Return the cache in a folder, by its digest or its tag. Raises: MinidockError."""
    files = LayoutFiles(place)
    offered = Index.from_bytes(read_document(files, INDEX_FILE)).manifests
    digest, tag = attributes.get("digest", ""), attributes.get("tag") or DEFAULT_TAG
    chosen = [
        item for item in offered if (str(item.digest) == digest if digest else item.annotations.get(REF_NAME) == tag)
    ]
    if not chosen:
        raise MinidockError(f"it holds no cache {digest or tag}")
    return read_cache(f"local:{place}", files, chosen[0])


def read_cache(name: str, files: Files, descriptor: Descriptor) -> CacheSource:
    """Return the cache of a manifest. Raises: MinidockError."""
    manifest = Manifest.from_bytes(
        read_document(files, blob_path(descriptor.digest), descriptor.digest, descriptor.size)
    )
    if manifest.config.media_type != CACHE_CONFIG:
        raise MinidockError(f"it is no build cache of this program: its config is {manifest.config.media_type}")
    config = CacheConfig.from_bytes(
        read_document(files, blob_path(manifest.config.digest), manifest.config.digest, manifest.config.size)
    )
    by_digest = {layer.digest: layer for layer in manifest.layers}
    layers = {diff_id: by_digest[blob] for diff_id, blob in config.blobs.items() if blob in by_digest}
    return CacheSource(name, files, {result.key: result for result in config.results}, layers)
