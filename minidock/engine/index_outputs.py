"""What becomes of a build for several platforms: a directory for each, or an index of their images.

The store has none of it: a name leads to the image of one platform there.
Source: BuildKit, exporter/local, exporter/tar, exporter/containerimage/writer.go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import field

from minidock.core import units
from minidock.core.build_options import Output
from minidock.core.dataclass import dataclass
from minidock.core.image_index import ImageIndex, PlatformManifest, directory_of
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.engine import images
from minidock.engine.export_tree import TreeExport
from minidock.engine.output_layers import PackedLayers
from minidock.engine.outputs import (
    SHOWN_NAMES,
    Outputs,
    Result,
    compression_of,
    is_pushed,
    opened,
    opened_sink,
    packed_image,
    remark,
    splits_platforms,
)
from minidock.engine.pack import pack
from minidock.engine.progress import Progress
from minidock.engine.registries import Environment
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError
from minidock.store.session import Session
from minidock.store.tar import END


@dataclass(frozen=True, slots=True)
class IndexResult:
    """The images of a build by platform, in the order that was asked for, and the annotations of their index."""

    images: Sequence[tuple[Platform, Result]]
    annotations: Mapping[str, str] = field(default_factory=dict)
    of_descriptor: Mapping[str, str] = field(default_factory=dict)

    def index(self, manifests: Sequence[PlatformManifest]) -> ImageIndex:
        """Return the index of the images as some output has them."""
        return ImageIndex.of(manifests, self.annotations, self.of_descriptor)


class IndexOutputs:
    """Writes the outputs of one build."""

    def __init__(
        self, ws: Workspace, session: Session, outputs: Outputs, progress: Progress, environment: Environment
    ) -> None:
        self._ws = ws
        self._session = session
        self._outputs = outputs
        self._progress = progress
        self._environment = environment

    def write(self, result: IndexResult, names: Sequence[str]) -> ImageIndex:
        """Write every output; return the index as the last archive or registry has it. Raises: MinidockError."""
        index = None
        for output in self._outputs.wanted:
            remark(output, self._progress)
            if is_pushed(output):
                index = self._push(output, result, names)
            elif output.type in SHOWN_NAMES:
                with self._progress.internal(f"exporting to {SHOWN_NAMES[output.type]}") as step:
                    if output.type == "local":
                        for shown, size in self._to_directories(output, result):
                            step.status(f"copying files {shown} {units.progress_size(size)} done")
                        continue
                    index = self._to_file(output, result) or index
                    step.status("sending tarball done")
        return index or result.index([self._as_stored(platform, image) for platform, image in result.images])

    def _as_stored(self, platform: Platform, image: Result) -> PlatformManifest:
        manifest = images.manifest_of(self._ws, image.config, image.config.to_bytes(), image.annotations)
        return PlatformManifest(platform, manifest, image.of_descriptor)

    def _tree(self, image: Result) -> TreeExport:
        return TreeExport(self._ws, image.config.diff_ids, image.latest)

    def _to_directories(self, output: Output, result: IndexResult) -> list[tuple[Platform, int]]:
        trees = [(platform, self._tree(image)) for platform, image in result.images]
        is_split = splits_platforms(output, is_usual=True)
        if not is_split:
            _refuse_clashes(trees)
        found = []
        for platform, tree in trees:
            place = os.path.join(output.dest, directory_of(platform)) if is_split else output.dest
            found.append((platform, tree.to_directory(place, self._progress.warn)))
        return found

    def _to_file(self, output: Output, result: IndexResult) -> ImageIndex | None:
        if output.type == "tar":
            with opened(self._outputs, output) as out:
                for platform, image in result.images:
                    self._tree(image).members_to_tar(out.write, directory_of(platform))
                out.write(END)
            return None
        with PackedLayers(self._ws, self._session, compression_of(output)) as layers:
            packed = [packed_image(self._ws, self._session, output, image, layers) for _, image in result.images]
            index = result.index(
                [
                    PlatformManifest(platform, image.manifest, image.annotations)
                    for (platform, _), image in zip(result.images, packed, strict=True)
                ]
            )
            with opened_sink(self._outputs, output) as sink:
                pack(self._ws, packed, sink, is_for_docker=False, read=layers.read, index=index)
        return index

    def _push(self, output: Output, result: IndexResult, names: Sequence[str]) -> ImageIndex:
        """Push to every name; return the index as it is at the last one. Raises: RegistryError."""
        # Few builds do: the others start faster without the HTTP client.
        from minidock.engine.crew import tell_layers
        from minidock.engine.push_index import push_index
        from minidock.engine.registries import open_registries

        index = None
        with closing(open_registries(self._environment, self._progress.warn)) as registries:
            for name in names:
                reference = Reference.parse(name)
                with self._progress.internal(f"pushing {reference}") as step:
                    index = push_index(
                        self._ws,
                        self._session,
                        registries,
                        reference,
                        result,
                        tell_layers(step),
                        compression_of(output),
                    )
                    step.status(f"pushing manifest for {reference}@{index.descriptor.digest} done")
        assert index is not None, "a push without a name is refused before the build"
        return index


def _refuse_clashes(trees: Sequence[tuple[Platform, TreeExport]]) -> None:
    """Refuse files of two platforms for one place. Raises: BuildError."""
    owners: dict[str, Platform] = {}
    for platform, tree in trees:
        for path in tree.files():
            if path in owners:
                raise BuildError(
                    f"cannot overwrite {path} from {owners[path]} with {platform} when split option is disabled"
                )
            owners[path] = platform
