"""``--cache-from``: results of steps that another machine has left, looked up by key, fetched when they are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing

from minidock.core.build_options import CacheOption
from minidock.core.cache_manifest import CACHE_CONFIG, CacheConfig, CachedResult, cache_of
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import REF_NAME, Descriptor, Index, Manifest
from minidock.core.digest import Digest
from minidock.engine.archive_files import Files, LayoutFiles, blob_path, ingest_layer, read_document
from minidock.engine.pack import INDEX_FILE
from minidock.engine.progress import Progress
from minidock.engine.registries import Environment
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, InvalidRequest, MinidockError
from minidock.store.session import Session

DEFAULT_TAG = "latest"


@dataclass(frozen=True, slots=True)
class CacheSource:
    """One cache: its results by key, its layers by diff_id, and what stores one of those, verified."""

    name: str
    results: Mapping[Digest, CachedResult]
    layers: Mapping[Digest, Descriptor]
    bring: Callable[[Session, Descriptor, Digest], None]


class ImportedCache:
    """The caches of other machines, first named first asked."""

    def __init__(self, sources: Sequence[CacheSource], warn: Callable[[str], None]) -> None:
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
                        source.bring(session, source.layers[diff_id], diff_id)
                        return True
                    except (MinidockError, OSError) as error:
                        self.damaged.add(diff_id)
                        self._warn(f"layer {diff_id.short} of {source.name} is not used: {error}")
        return False


@dataclass(frozen=True, slots=True)
class Importing:
    """What a build reads caches with; ``stack`` closes what is opened, ``check`` raises when the build has ended."""

    ws: Workspace
    environment: Environment
    progress: Progress
    stack: ExitStack
    check: Callable[[], None]

    def caches(self, options: Sequence[CacheOption]) -> ImportedCache | None:
        """Read the caches that a build may use; one that cannot be read is told and left out: builds can do without.

        Raises: BuildError for an option that makes no sense.
        """
        sources = []
        for option in options:
            found = self._local(option) if option.type == "local" else None
            if option.type == "registry":
                found = self._at_registry(option)
            if found is not None:
                sources.append(found)
        return ImportedCache(sources, self.progress.warn) if sources else None

    def _local(self, option: CacheOption) -> CacheSource | None:
        place = option.attributes.get("src", "")
        if not place:
            raise BuildError("local cache importer requires src")
        return self._told("local", place, lambda: open_local(self.ws, place, option.attributes))

    def _at_registry(self, option: CacheOption) -> CacheSource | None:
        # Few builds do: the others start faster without the HTTP client.
        from minidock.engine.cache_registry import open_remote
        from minidock.engine.registries import open_registries

        try:
            reference = option.reference("importer")
        except InvalidRequest as error:
            raise BuildError(str(error)) from error

        def opened() -> CacheSource:
            registries = self.stack.enter_context(closing(open_registries(self.environment, self.progress.warn)))
            return open_remote(self.ws, registries, reference, self.check)

        return self._told("registry", reference.familiar, opened)

    def _told(self, kind: str, place: str, opened: Callable[[], CacheSource]) -> CacheSource | None:
        shown = place if kind == "registry" else f"{kind}:{place}"
        with self.progress.internal(f"importing cache manifest from {shown}") as step:
            try:
                return opened()
            except MinidockError as error:
                step.status(f"not used: {error}")
                self.progress.warn(f"{kind} cache import at {place} is not used: {error}")
        return None


def open_local(ws: Workspace, place: str, attributes: Mapping[str, str]) -> CacheSource:
    """Return the cache in a folder, by its digest or its tag. Raises: MinidockError."""
    files = LayoutFiles(place)
    offered = Index.from_bytes(read_document(files, INDEX_FILE)).manifests
    digest, tag = attributes.get("digest", ""), attributes.get("tag") or DEFAULT_TAG
    chosen = [
        item for item in offered if (str(item.digest) == digest if digest else item.annotations.get(REF_NAME) == tag)
    ]
    if not chosen:
        raise MinidockError(f"it holds no cache {digest or tag}")
    manifest = Manifest.from_bytes(_document(files, chosen[0]))
    if manifest.config.media_type != CACHE_CONFIG:
        raise MinidockError(f"it is no build cache of this program: its config is {manifest.config.media_type}")
    results, layers = cache_of(manifest, CacheConfig.from_bytes(_document(files, manifest.config)))

    def bring(session: Session, layer: Descriptor, diff_id: Digest) -> None:
        ingest_layer(ws, session, files, layer, diff_id)

    return CacheSource(f"local:{place}", results, layers, bring)


def _document(files: Files, descriptor: Descriptor) -> bytes:
    return read_document(files, blob_path(descriptor.digest), descriptor.digest, descriptor.size)
