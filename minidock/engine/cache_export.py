"""``--cache-to``: the results of a build's steps, for builds on other machines.

A local cache is a folder in the form of an OCI layout, one tag for each cache in it. What no tag leads to any more is
removed when a cache is written, so that the folder holds what is live and nothing else.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from minidock.core import mediatype
from minidock.core.build_options import CacheOption
from minidock.core.cache_manifest import CACHE_CONFIG, UNCOMPRESSED, CacheConfig, CachedResult
from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import REF_NAME, Descriptor, Index, Manifest, load_object
from minidock.core.digest import Digest
from minidock.core.packing import UNCOMPRESSED as PLAIN
from minidock.core.packing import Compression
from minidock.core.quoting import quoted
from minidock.core.truth import TRUE
from minidock.engine.archive_files import LayoutFiles, blob_path, read_document
from minidock.engine.cache_import import DEFAULT_TAG, CacheSource, open_local
from minidock.engine.pack import INDEX_FILE, LAYOUT_FILE, LAYOUT_VERSION
from minidock.engine.packing import PackedBlob
from minidock.engine.progress import Progress, Step
from minidock.engine.registries import Environment
from minidock.engine.sinks import replacing
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, InvalidRequest, MinidockError, StoreError
from minidock.store.session import Session

TYPES = ("local", "registry")
_MODES = ("min", "max")


def check(options: Sequence[CacheOption]) -> None:
    """Find mistakes before anything is built. Raises: BuildError."""
    for option in options:
        attributes = option.attributes
        if option.type == "local" and not attributes.get("dest"):
            raise BuildError("local cache exporter requires dest")
        if option.type in TYPES and attributes.get("mode", "min") not in _MODES:
            raise BuildError(f"invalid mode {quoted(attributes['mode'])} of --cache-to: it is min or max")
        try:
            if option.type in TYPES:
                option.compression()
            if option.type == "registry" and option.reference("exporter").digest:
                raise BuildError(f"a cache cannot be written to the digest {attributes['ref']}", hint="name a tag")
        except InvalidRequest as error:
            raise BuildError(f"{error} (--cache-to)") from error


def export_caches(
    ws: Workspace,
    session: Session,
    options: Sequence[CacheOption],
    results: Iterable[CachedResult],
    progress: Progress,
    environment: Environment,
    damaged: Collection[Digest] = (),
) -> None:
    """Write the results of a build where the options say; ``damaged`` layers were found to be so in a cache.

    ``environment`` says how registries are reached.

    Raises: MinidockError, unless that is to be ignored.
    """
    ordered = sorted(results, key=lambda result: result.key.hex)
    for option in options:
        try:
            if option.type == "local":
                with progress.internal("exporting cache to client directory") as step:
                    _Folder(ws, option, damaged).write(session, ordered, step)
            elif option.type == "registry":
                _to_registry(ws, session, option, ordered, progress, environment)
        except (MinidockError, OSError) as error:
            if option.attributes.get("ignore-error", "") not in TRUE:
                if isinstance(error, MinidockError):
                    raise
                raise BuildError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from error
            progress.warn(f"the cache was not exported: {error}")


def _to_registry(
    ws: Workspace,
    session: Session,
    option: CacheOption,
    results: Sequence[CachedResult],
    progress: Progress,
    environment: Environment,
) -> None:
    # Few builds do: the others start faster without the HTTP client.
    from minidock.engine.cache_registry import export_remote
    from minidock.engine.registries import open_registries

    with (
        progress.internal("exporting cache to registry") as step,
        closing(open_registries(environment, progress.warn)) as registries,
    ):
        export_remote(ws, session, registries, option, results, step)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of caches, and how a new one is to be written there."""

    ws: Workspace
    option: CacheOption
    damaged: Collection[Digest]

    @property
    def place(self) -> str:
        return self.option.attributes["dest"]

    def write(self, session: Session, results: Sequence[CachedResult], step: Step) -> None:
        """Write a cache, and remove what it replaces."""
        step.status("preparing build cache for export done")
        with self._locked():
            before = self._before()
            layers = {
                result.diff_id: self._layer(session, result.diff_id, before, step)
                for result in results
                if result.diff_id is not None
            }
            config = CacheConfig(
                tuple(results), {diff_id: layer.digest for diff_id, layer in layers.items()}
            ).to_bytes()
            described = Descriptor(CACHE_CONFIG, self._put(config), len(config))
            unique = {layer.digest: layer for layer in layers.values()}
            manifest = Manifest(described, tuple(unique.values())).to_bytes()
            tag = self.option.attributes.get("tag") or DEFAULT_TAG
            digest = self._put(manifest)
            self._name(Descriptor(mediatype.MANIFEST, digest, len(manifest), {REF_NAME: tag}), tag)
            step.status(f"writing cache manifest {digest} done")
            self._remove_dead()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if os.path.isdir(self.place) and not os.path.exists(f"{self.place}/{LAYOUT_FILE}"):
            strangers = set(os.listdir(self.place)) - {"blobs"}
            if strangers:
                raise BuildError(f"{self.place} is no cache: it holds {min(strangers)}", hint="name an empty folder")
        os.makedirs(f"{self.place}/blobs/sha256", exist_ok=True)
        fd = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _before(self) -> CacheSource | None:
        """Return the cache that stood here, whose compressed layers can stay as they are."""
        try:
            return open_local(self.ws, self.place, self.option.attributes)
        except MinidockError:
            return None

    def _layer(self, session: Session, diff_id: Digest, before: CacheSource | None, step: Step) -> Descriptor:
        stored = self.ws.store.layers.get(diff_id).blob
        session.pin([diff_id, stored.digest])
        wanted = self.option.compression()
        if stored.media_type != mediatype.LAYER:
            wanted = Compression(PLAIN)  # it is compressed already: as it is
        known = before.layers.get(diff_id) if before and diff_id not in self.damaged else None
        if known is not None and known.media_type == wanted.media_type and self._has(known):
            return known
        plain = replace(stored, annotations={UNCOMPRESSED: str(diff_id)})
        is_plain = wanted.kind == PLAIN
        if is_plain and diff_id not in self.damaged and self._has(plain):
            return plain
        packed = self._packed(stored.digest, wanted)
        step.status(f"writing layer {packed.digest} done")
        return plain if is_plain else replace(packed, annotations=plain.annotations)

    def _packed(self, blob: Digest, wanted: Compression) -> Descriptor:
        """Write a blob of the store, compressed or not; return what that is. Raises: BlobCorrupt."""
        source = PackedBlob(self.ws, blob, wanted)
        temporary = f"{self.place}/blobs/.{os.urandom(6).hex()}"
        try:
            with open(temporary, "xb") as out:
                for chunk in source.chunks():
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())  # of the right size and empty it would stay for good
            os.replace(temporary, f"{self.place}/{blob_path(source.descriptor.digest)}")
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
        return source.descriptor

    def _has(self, layer: Descriptor) -> bool:
        try:
            return os.stat(f"{self.place}/{blob_path(layer.digest)}").st_size == layer.size
        except FileNotFoundError:
            return False

    def _put(self, data: bytes) -> Digest:
        digest = Digest.sha256(data)
        with replacing(f"{self.place}/{blob_path(digest)}") as out:
            out.write(data)
        return digest

    def _name(self, descriptor: Descriptor, tag: str) -> None:
        others = [item for item in self._index().manifests if item.annotations.get(REF_NAME) != tag]
        files = {
            LAYOUT_FILE: dumps({"imageLayoutVersion": LAYOUT_VERSION}),
            INDEX_FILE: Index((*others, descriptor)).to_bytes(),
        }
        for name, data in files.items():
            with replacing(f"{self.place}/{name}") as out:
                out.write(data)

    def _index(self) -> Index:
        if not os.path.exists(f"{self.place}/{INDEX_FILE}"):
            return Index()
        return Index.from_bytes(read_document(LayoutFiles(self.place), INDEX_FILE))

    def _remove_dead(self) -> None:
        """Remove the blobs that no tag leads to; where one leads to what cannot be read, nothing."""
        files = LayoutFiles(self.place)
        live: set[str] = set()
        pending = list(self._index().manifests)
        while pending:
            item = pending.pop()
            live.add(item.digest.hex)
            try:
                members = load_object(read_document(files, blob_path(item.digest), item.digest), "manifest")
                pending += [Descriptor.from_json(below) for below in members.get("manifests") or ()]
                live.update(Descriptor.from_json(below).digest.hex for below in _parts(members))
            except StoreError:
                return
        for name in os.listdir(f"{self.place}/blobs/sha256"):
            if name not in live:
                os.unlink(f"{self.place}/blobs/sha256/{name}")
        for name in os.listdir(f"{self.place}/blobs"):
            if name.startswith("."):
                os.unlink(f"{self.place}/blobs/{name}")  # of a process that was killed


def _parts(members: Mapping[str, object]) -> list[Mapping[str, object]]:
    layers = members.get("layers")
    found = [members.get("config"), *(layers if isinstance(layers, list) else ())]
    return [item for item in found if isinstance(item, dict)]
