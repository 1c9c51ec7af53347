"""Build an image: read the Dockerfile, build the stages that the target needs, publish the result under its names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

from minidock.core import mediatype
from minidock.core.build_options import annotations_for, check_annotations, index_annotations
from minidock.core.build_record import BuildRecord
from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.events import Observer
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.times import format_time
from minidock.engine import cache_export, images, limits
from minidock.engine.build_stages import StageBuilds
from minidock.engine.index_outputs import IndexOutputs, IndexResult
from minidock.engine.outputs import Result, export, latest_of
from minidock.engine.preparing import BuildRequest, Sessions, Setup, by_platform, course_of, prepare
from minidock.engine.progress import Progress
from minidock.engine.rewriting import rewritten
from minidock.engine.stage_state import StageState
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The image that a build gave: its ID, the descriptor of its manifest, the names that it got.

    An image for several platforms has an index instead, whose digest is its ID.
    """

    image_id: Digest
    manifest: Descriptor
    names: tuple[str, ...] = ()


def build(ws: Workspace, request: BuildRequest, observer: Observer) -> BuildResult:
    """Build and name an image; a failed build moves no name.

    Raises: DockerfileError (with the lines to blame), StepFailed, BuildError, NoSuchImage.
    """
    names = tuple(dict.fromkeys(images.new_name(tag) for tag in request.tags))
    request.outputs.check(names, is_index=bool(request.platforms))
    check_annotations(request.annotations, request.platforms)
    cache_export.check(request.cache_to)
    progress = Progress(observer)
    limits.check(ws, request.resources, progress.warn)
    with ExitStack() as stack:
        sessions = Sessions(ws.store.session, stack)
        prepared = prepare(ws, request, progress, sessions)
        with ExitStack() as sources:

            def setups() -> Iterator[Setup]:
                for part, own in by_platform(request, prepared):
                    course = course_of(ws, part, own, observer)
                    yield Setup(ws, sessions.get(), sources, part, progress, own, course)

            return _Building(request, setups(), names).build()


class _Part:
    """The build for one platform, and what its target has become."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._stages = StageBuilds(setup)
        self.shared = self._stages.shared
        self.state: StageState | None = None

    def run(self) -> None:
        """Build the stages. Raises: what the first one that fails raises."""
        self.state = self._stages.run()

    @property
    def image(self) -> ImageConfig:
        """The image of the target."""
        assert self.state is not None, "it was not run"
        return self.state.image

    @property
    def platform(self) -> Platform:
        """What the target is for."""
        return self.image.platform

    def result(self, names: tuple[str, ...]) -> Result:
        """Return what is exported."""
        of_manifest, of_descriptor = annotations_for(self.setup.request.annotations, self.platform)
        return Result(self.image, names, of_manifest, of_descriptor, self.shared.source_date_epoch)

    def record(self, image_id: Digest | None, names: tuple[str, ...]) -> None:
        """Remember what became of the steps so far, and why."""
        ws = self.setup.ws
        steps = tuple(sorted(self.shared.fates, key=lambda fate: fate.number))
        record = BuildRecord(self.setup.scope, format_time(ws.clock.now()), steps, image_id, names)
        ws.store.builds.put(self.setup.session, record)


class _Building:
    """One build, and what becomes of its result."""

    def __init__(self, request: BuildRequest, setups: Iterator[Setup], names: tuple[str, ...]) -> None:
        self._request = request
        self._setups = setups
        self._names = names
        self._parts: list[_Part] = []

    def build(self) -> BuildResult:
        """Build for every platform and publish what came of it; remember why steps ran, and what contexts hold."""
        try:
            for setup in self._setups:
                self._parts.append(_Part(setup))
                self._parts[-1].run()
            result = self._publish_index() if self._request.platforms else self._publish(self._parts[0])
        except MinidockError:
            with suppress(MinidockError):  # the build's own error is the one to tell
                for part in self._parts:
                    part.record(None, self._names)
            raise
        for part in self._parts:
            is_index = bool(self._request.platforms)
            part.record(Digest.sha256(part.image.to_bytes()) if is_index else result.image_id, self._names)
        self._export_caches()
        setup = self._parts[0].setup
        setup.prepared.opened.files.save(setup.session)
        setup.prepared.contexts.save(setup.session)
        return result

    def _export_caches(self) -> None:
        request, setup = self._request, self._parts[0].setup
        results = {result for part in self._parts for result in part.shared.results}
        damaged = {item for part in self._parts if part.shared.imported for item in part.shared.imported.damaged}
        environment = request.environment or {}
        cache_export.export_caches(
            setup.ws, setup.session, request.cache_to, results, setup.progress, environment, damaged
        )

    def _publish_index(self) -> BuildResult:
        """Write the outputs of a build for several platforms."""
        request, setup = self._request, self._parts[0].setup
        names = request.outputs.names(self._names)
        found = [(part.platform, part.result(names)) for part in self._parts]
        writer = IndexOutputs(setup.ws, setup.session, request.outputs, setup.progress, request.environment or {})
        index = writer.write(IndexResult(found, *index_annotations(request.annotations)), names)
        return BuildResult(index.descriptor.digest, index.descriptor, names)

    def _publish(self, part: _Part) -> BuildResult:
        """Write the outputs; store the manifest of the target's image and give it its names if that is one of them."""
        request, setup, state, image = self._request, part.setup, part.state, part.image
        assert state is not None
        ws, session, outputs, names = setup.ws, setup.session, request.outputs, self._names
        result = part.result(names)
        rewrites = any(latest_of(output, result) is not None for output in outputs.wanted)
        if outputs.is_stored and rewrites and result.latest is not None:
            image = rewritten(ws, session, image, result.latest)
            result = replace(result, config=image)
        written = export(ws, session, outputs, result, setup.progress)
        if not outputs.is_stored:
            written = written or images.manifest_of(ws, image, image.to_bytes(), result.annotations)
            manifest = written.to_bytes()
            descriptor = Descriptor(mediatype.MANIFEST, Digest.sha256(manifest), len(manifest))
            return BuildResult(written.config.digest, descriptor, names)
        names = outputs.names(names)
        with setup.progress.internal("exporting to image") as step:
            step.status("exporting layers done")
            image_id, digest = images.publish(
                ws,
                session,
                image,
                names,
                annotations=result.annotations,
                lines=state.lines,
                base=state.base_image,
            )
            step.status(f"exporting manifest {digest} done")
            step.status(f"writing image {image_id} done")
            for name in names:
                step.status(f"naming to {Reference.parse(name)} done")
        stored = Descriptor(mediatype.MANIFEST, digest, len(ws.store.blobs.read(digest)))
        for compression in outputs.pushed():
            # Few builds do: the others start faster without the HTTP client.
            from minidock.engine.build_push import push_result

            stored = push_result(ws, session, names, compression, request.environment or {}, setup.progress)
        return BuildResult(image_id, stored, names)
