"""Build an image: read the Dockerfile, build the stages that the target needs, publish the result under its names."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from minidock.core import mediatype
from minidock.core.build_record import BuildRecord
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.events import Observer
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.times import format_time
from minidock.engine import cache_export, images, limits
from minidock.engine.build_stages import StageBuilds
from minidock.engine.outputs import Result, annotations_for, check_annotations, export, rewritten
from minidock.engine.preparing import BuildRequest, Sessions, Setup, course_of, prepare
from minidock.engine.progress import Progress
from minidock.engine.stage_state import StageState
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The image that a build gave: its ID, the descriptor of its manifest, the names that it got."""

    image_id: Digest
    manifest: Descriptor
    names: tuple[str, ...] = ()


def build(ws: Workspace, request: BuildRequest, observer: Observer) -> BuildResult:
    """Build and name an image; a failed build moves no name.

    Raises: DockerfileError (with the lines to blame), StepFailed, BuildError, NoSuchImage.
    """
    names = tuple(dict.fromkeys(images.new_name(tag) for tag in request.tags))
    request.outputs.check(names)
    check_annotations(request.annotations)
    cache_export.check(request.cache_to)
    progress = Progress(observer)
    limits.check(ws, request.resources, progress.warn)
    with ExitStack() as stack:
        sessions = Sessions(ws.store.session, stack)
        prepared = prepare(ws, request, progress, sessions)
        course = course_of(ws, request, prepared, observer)
        session = sessions.get()
        with ExitStack() as sources:
            return _Building(Setup(ws, session, sources, request, progress, prepared, course), names).build()


class _Building:
    """One build, and what becomes of its result."""

    def __init__(self, setup: Setup, names: tuple[str, ...]) -> None:
        self._setup = setup
        self._names = names
        self._ws = setup.ws
        self._session = setup.session
        self._stages = StageBuilds(setup)

    def build(self) -> BuildResult:
        """Build the stages and publish the target's image; remember why steps ran, and what contexts hold."""
        try:
            result = self._publish(self._stages.run(), self._names)
        except MinidockError:
            with suppress(MinidockError):  # the build's own error is the one to tell
                self._record()
            raise
        self._record(result.image_id)
        request, results = self._setup.request, set(self._stages.shared.results)
        caches, progress = self._stages.shared.imported, self._setup.progress
        damaged = caches.damaged if caches else ()
        environment = request.environment or {}
        cache_export.export_caches(self._ws, self._session, request.cache_to, results, progress, environment, damaged)
        self._setup.prepared.opened.files.save(self._session)
        self._setup.prepared.contexts.save(self._session)
        return result

    def _record(self, image_id: Digest | None = None) -> None:
        """Remember what became of the steps so far, and why."""
        steps = tuple(sorted(self._stages.shared.fates, key=lambda fate: fate.number))
        ended = format_time(self._ws.clock.now())
        record = BuildRecord(self._setup.scope, ended, steps, image_id, self._names)
        self._ws.store.builds.put(self._session, record)

    def _publish(self, state: StageState, names: tuple[str, ...]) -> BuildResult:
        """Write the outputs; store the manifest of the target's image and give it its names if that is one of them."""
        request, image = self._setup.request, state.image
        outputs = request.outputs
        of_manifest, of_descriptor = annotations_for(
            request.annotations, Platform(image.os, image.architecture, image.variant)
        )
        epoch = self._stages.shared.source_date_epoch
        rewrites = any(output.attributes.get("rewrite-timestamp") == "true" for output in outputs.wanted)
        if outputs.is_stored and rewrites and epoch is not None:
            image = rewritten(self._ws, self._session, image, epoch)
        exported = Result(image, names, of_manifest, of_descriptor, epoch)
        written = export(self._ws, self._session, outputs, exported, self._setup.progress)
        if not outputs.is_stored:
            written = written or images.manifest_of(self._ws, image, image.to_bytes(), of_manifest)
            manifest = written.to_bytes()
            descriptor = Descriptor(mediatype.MANIFEST, Digest.sha256(manifest), len(manifest))
            return BuildResult(written.config.digest, descriptor, names)
        names = outputs.names(names)
        with self._setup.progress.internal("exporting to image") as step:
            step.status("exporting layers done")
            image_id, digest = images.publish(
                self._ws,
                self._session,
                image,
                names,
                annotations=of_manifest,
                lines=state.lines,
                base=state.base_image,
            )
            step.status(f"exporting manifest {digest} done")
            step.status(f"writing image {image_id} done")
            for name in names:
                step.status(f"naming to {Reference.parse(name)} done")
        stored = Descriptor(mediatype.MANIFEST, digest, len(self._ws.store.blobs.read(digest)))
        for compression in outputs.pushed():
            # Few builds do: the others start faster without the HTTP client.
            from minidock.engine.build_push import push_result

            environment, progress = request.environment or {}, self._setup.progress
            stored = push_result(self._ws, self._session, names, compression, environment, progress)
        return BuildResult(image_id, stored, names)
