"""Build caches at a registry: the image manifest that a cache folder has too, its blobs pushed and pulled.

The results of steps are read at once, a layer when a step needs it. Source: BuildKit, README, "Registry (push image and
cache separately)".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from minidock.core import mediatype
from minidock.core.build_options import CacheOption
from minidock.core.cache_manifest import CACHE_CONFIG, PACKED, UNCOMPRESSED, CacheConfig, CachedResult, cache_of
from minidock.core.descriptor import Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.packing import Form, as_layer
from minidock.core.reference import Reference
from minidock.engine.cache_import import CacheSource
from minidock.engine.crew import Crew, tell_layers
from minidock.engine.progress import Step
from minidock.engine.pull_layers import LayerFetcher
from minidock.engine.push import refused as push_refused
from minidock.engine.push_layers import LayerPusher, Outgoing
from minidock.engine.remote import refused as pull_refused
from minidock.engine.remote import small_blob
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, RegistryRefused
from minidock.registry.registries import Registries
from minidock.store.session import Session


def open_remote(ws: Workspace, registries: Registries, reference: Reference, check: Callable[[], None]) -> CacheSource:
    """Return the cache that a name leads to; ``check`` is called while a layer is fetched, and may raise.

    Raises: MinidockError.
    """
    try:
        repository = registries.repository(reference)
        found = repository.manifest(reference.digest or str(reference.tag))
    except RegistryRefused as error:
        raise pull_refused(reference, error) from error
    manifest = Manifest.from_bytes(found.data)
    if manifest.config.media_type != CACHE_CONFIG:
        raise MinidockError(f"it is no build cache of this program: its config is {manifest.config.media_type}")
    config = CacheConfig.from_bytes(small_blob(repository, manifest.config))
    fetcher_of = partial(
        LayerFetcher,
        repositories=[lambda: repository],
        observer=lambda event: None,
        crew=_Watch(check),
        keeps_packed=False,
    )

    def bring(session: Session, layer: Descriptor, diff_id: Digest) -> None:
        fetcher_of(ws, session).fetch_one(layer, diff_id)
        made = layer.annotations.get(PACKED, "")
        ws.store.forms.remember(session, diff_id, Form(as_layer(layer), made, (reference.name,)))

    results, layers = cache_of(manifest, config)
    return CacheSource(f"registry:{reference.familiar}", results, layers, bring)


class _Watch(Crew):
    """Transfers of a build, which end with it."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__(lambda: None)
        self._check_build = check

    def check(self) -> None:
        super().check()
        self._check_build()


def export_remote(
    ws: Workspace,
    session: Session,
    registries: Registries,
    option: CacheOption,
    results: Sequence[CachedResult],
    step: Step,
) -> None:
    """Write a cache to a registry. Raises: RegistryError, MinidockError."""
    reference = option.reference("exporter")
    try:
        repository = registries.repository(reference)
        crew, compression = Crew(registries.cancel), option.compression()
        pusher = LayerPusher(ws, session, repository, reference.domain, tell_layers(step), crew, compression)
        diff_ids = list(dict.fromkeys(result.diff_id for result in results if result.diff_id is not None))
        forms = pusher.push([Outgoing(diff_id) for diff_id in diff_ids])
        layers = {diff_id: _described(form, diff_id) for diff_id, form in zip(diff_ids, forms, strict=True)}
        blobs = {diff_id: layer.digest for diff_id, layer in layers.items()}
        config = CacheConfig(tuple(results), blobs).to_bytes()
        described = Descriptor(CACHE_CONFIG, Digest.sha256(config), len(config))
        pusher.put(described.digest, config)
        unique = {layer.digest: layer for layer in layers.values()}
        data = Manifest(described, tuple(unique.values())).to_bytes()
        digest = repository.put_manifest(str(reference.tag), mediatype.MANIFEST, data)
        step.status(f"writing cache manifest {digest} done")
    except RegistryRefused as error:
        raise push_refused(reference, error) from error


def _described(form: Form, diff_id: Digest) -> Descriptor:
    told = {UNCOMPRESSED: str(diff_id), **({PACKED: form.made} if form.made else {})}
    return replace(as_layer(form.blob), annotations=told)
