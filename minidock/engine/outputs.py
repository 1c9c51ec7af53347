"""What becomes of the result of a build: an image of the store, files, a tar of files, an archive of an image.

Source: docker/buildx, util/buildflags/export.go and build/opt.go; BuildKit, exporter/*.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

from minidock.core import units
from minidock.core.build_options import STDOUT, Output
from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Manifest
from minidock.core.image_index import directory_of
from minidock.core.packing import GZIP, UNCOMPRESSED, Compression
from minidock.core.quoting import quoted
from minidock.core.truth import FALSE, TRUE
from minidock.engine import images
from minidock.engine.export_tree import TreeExport
from minidock.engine.output_layers import PackedLayers
from minidock.engine.pack import Packed, pack
from minidock.engine.progress import Progress
from minidock.engine.rewriting import rewritten
from minidock.engine.sinks import DirectorySink, Sink, TarSink, replacing
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, InvalidReference, InvalidRequest
from minidock.store.session import Session

_REWRITTEN = "buildkit/rewritten-timestamp"
_FILES = ("local", "tar")
_ARCHIVES = ("oci", "docker")
SHOWN_NAMES = {  # in the progress
    "oci": "oci image format",
    "docker": "docker image format",
    "tar": "client tarball",
    "local": "client directory",
}
_ON = TRUE | {""}  # a switch that is named alone
_BOOLEANS = (
    *("tar", "rewrite-timestamp", "push", "platform-split", "store", "unpack", "oci-mediatypes", "force-compression"),
    *("name-canonical", "prefer-nondist-layers"),
)
_ELSEWHERE = (
    "write it elsewhere: --push, --output type=oci,dest=FILE or --output DIR; or build one platform after the other"
)
_KNOWN = {  # what changes the result; the others say something about it that is so anyway, or that nobody here asks
    "name", "tar", "rewrite-timestamp", "push", "compression", "platform-split", "store", "unpack", "oci-mediatypes",
    "force-compression", "compression-level", "dangling-name-prefix", "name-canonical", "mode", "prefer-nondist-layers",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outputs:
    """All outputs of a build, checked; ``stdout`` is None where it is a terminal."""

    wanted: tuple[Output, ...] = ()
    stdout: BinaryIO | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the image gets its names in the store."""
        return not self.wanted or any(_is_stored(output) for output in self.wanted)

    @property
    def has_image(self) -> bool:
        """Whether an image is named, written or pushed, and not only its files."""
        return self.is_stored or any(output.type in _ARCHIVES for output in self.wanted)

    def check(self, tags: Sequence[str], *, is_index: bool = False) -> None:
        """Refuse what cannot be done with a result called ``tags``, before it is built.

        ``is_index`` if that is an image for several platforms. Raises: BuildError.
        """
        if is_index:
            self._check_index()
        for output in self.wanted:
            _check(output, has_stdout=self.stdout is not None)
            if is_pushed(output) and not self.names(tags):
                raise BuildError("tag is needed when pushing to registry")
        if sum(takes_stdout(output) for output in self.wanted) > 1:
            raise BuildError("multiple outputs to stdout are not possible: name a file for each")

    def _check_index(self) -> None:
        if any(output.type == "docker" for output in self.wanted):
            raise BuildError("docker exporter does not currently support exporting manifest lists", hint=_ELSEWHERE)
        if (self.is_stored and not all(map(is_pushed, filter(_is_stored, self.wanted)))) or not self.wanted:
            raise BuildError(
                "Multi-platform build is not supported for the store, where a name leads to the image of one platform",
                hint=_ELSEWHERE,
            )

    def pushed(self) -> tuple[Compression, ...]:
        """Return how layers are to be packed for each output that goes to a registry."""
        return tuple(compression_of(output) for output in self.wanted if is_pushed(output))

    def names(self, tags: Sequence[str]) -> tuple[str, ...]:
        """Return the familiar names that the image gets in the store: those of -t, and those of the outputs."""
        found = list(tags)
        for output in self.wanted:
            if _is_stored(output):
                found += _names_of(output)
        return tuple(dict.fromkeys(found))


def takes_stdout(output: Output) -> bool:
    """Tell whether an output is written to stdout."""
    return output.dest == STDOUT or (output.type in ("tar", "oci") and not output.dest)


def is_pushed(output: Output) -> bool:
    """Tell whether an output goes to a registry; it is stored then, too."""
    return output.type == "registry" or (output.type == "image" and output.attributes.get("push", "false") in _ON)


def compression_of(output: Output) -> Compression:
    attributes = output.attributes
    usual = GZIP if is_pushed(output) or "compression-level" in attributes else UNCOMPRESSED
    is_forced = attributes.get("force-compression", "false") in _ON
    try:
        return Compression.parse(
            attributes.get("compression", usual), attributes.get("compression-level", ""), is_forced=is_forced
        )
    except InvalidRequest as error:
        raise BuildError(f"{error} (--output)") from error


def _is_stored(output: Output) -> bool:
    return output.type in ("image", "registry") or (output.type == "docker" and not output.dest)


def _is_archive(output: Output) -> bool:
    return output.type in _ARCHIVES and not _is_stored(output)


def _names_of(output: Output) -> list[str]:
    try:
        return [images.new_name(name) for name in output.attributes.get("name", "").split(",") if name]
    except InvalidReference as error:
        raise BuildError(f"invalid name in --output: {error}") from error


def _check(output: Output, *, has_stdout: bool) -> None:
    if output.type not in (*_FILES, *_ARCHIVES, "image", "registry", "cacheonly"):
        raise BuildError(f"exporter {quoted(output.type)} could not be found")
    unknown = [key for key in output.attributes if key not in _KNOWN and not key.startswith("annotation")]
    if unknown:
        raise BuildError(f"unknown option {quoted(unknown[0])} of --output type={output.type}")
    for key in _BOOLEANS:
        if output.attributes.get(key, "") not in _ON | FALSE:
            raise BuildError(f"non-bool value specified for {key} (--output)")
    compression_of(output)
    _names_of(output)
    if output.type == "local":
        _check_directory(output)
    is_file = output.type == "tar" or _is_archive(output)
    is_to_stdout = takes_stdout(output)
    if not is_file or not _is_tar(output):
        if is_file and is_to_stdout:
            raise BuildError(f"dest is required for {output.type} output with tar=false")
        return
    if is_to_stdout and not has_stdout:
        raise BuildError(f"dest file is required for {output.type} exporter. refusing to write to console")
    if not is_to_stdout and os.path.isdir(output.dest):
        raise BuildError(f"destination file {output.dest} is a directory")


def _check_directory(output: Output) -> None:
    if output.dest in ("", STDOUT):
        raise BuildError("dest is required for local output")
    if os.path.exists(output.dest) and not os.path.isdir(output.dest):
        raise BuildError(f"destination {output.dest} of --output type=local is no directory")
    if output.attributes.get("mode", "copy") != "copy":
        hint = "files are added to what is there: empty the directory first"
        raise BuildError(f"mode={output.attributes['mode']} of --output type=local is not supported", hint=hint)


def _is_tar(output: Output) -> bool:
    return output.attributes.get("tar", "true") in _ON


@dataclass(frozen=True, slots=True)
class Result:
    """What is exported: an image's config, the familiar names of -t, the annotations of its manifest, the epoch."""

    config: ImageConfig
    names: tuple[str, ...]
    annotations: Mapping[str, str]
    of_descriptor: Mapping[str, str]
    latest: int | None


def export(ws: Workspace, session: Session, outputs: Outputs, result: Result, progress: Progress) -> Manifest | None:
    """Write every output but the image in the store; return the manifest of the last archive, None without one."""
    written = None
    for output in outputs.wanted:
        remark(output, progress)
        if output.type in SHOWN_NAMES and not _is_stored(output):
            with progress.internal(f"exporting to {SHOWN_NAMES[output.type]}") as step:
                if output.type == "local":
                    tree = TreeExport(ws, result.config.diff_ids, result.latest)
                    size = tree.to_directory(_place_of(output, result), progress.warn)
                    step.status(f"copying files {units.progress_size(size)} done")
                else:
                    written = _to_file(ws, session, outputs, output, result) or written
                    step.status("sending tarball done")
    return written


def remark(output: Output, progress: Progress) -> None:
    """Tell what is asked for in vain."""
    if "compression" in output.attributes and not _is_archive(output) and not is_pushed(output):
        progress.warn(f"compression has no effect on --output type={output.type}")


def splits_platforms(output: Output, *, is_usual: bool) -> bool:
    """Whether the files for each platform go to a directory of their own."""
    return output.attributes.get("platform-split", str(is_usual)) in _ON


def _place_of(output: Output, result: Result) -> str:
    """Return the directory that the files of an image go to."""
    if not splits_platforms(output, is_usual=False):
        return output.dest
    config = result.config
    return os.path.join(output.dest, directory_of(config.platform))


def latest_of(output: Output, result: Result) -> int | None:
    """Return the time that nothing in an output is to be newer than, None for no such time."""
    return result.latest if output.attributes.get("rewrite-timestamp", "false") in _ON else None


def _to_file(ws: Workspace, session: Session, outputs: Outputs, output: Output, result: Result) -> Manifest | None:
    if output.type == "tar":
        with opened(outputs, output) as out:
            TreeExport(ws, result.config.diff_ids, result.latest).to_tar(out.write)
        return None
    with PackedLayers(ws, session, compression_of(output)) as layers:
        packed = packed_image(ws, session, output, result, layers)
        with opened_sink(outputs, output) as sink:
            pack(ws, [packed], sink, is_for_docker=output.type == "docker", read=layers.read)
    return packed.manifest


def packed_image(ws: Workspace, session: Session, output: Output, result: Result, layers: PackedLayers) -> Packed:
    """Return what an archive holds of an image, its layers packed as the output says."""
    config, latest = result.config, latest_of(output, result)
    if latest is not None:
        config = rewritten(ws, session, config, latest)
    data = config.to_bytes()
    manifest = images.manifest_of(ws, config, data, result.annotations)
    if compression_of(output).kind != UNCOMPRESSED:
        manifest = layers.packed(manifest, config.diff_ids)
    if latest is not None:
        told = {_REWRITTEN: str(latest)}
        manifest = manifest.with_layers(tuple(replace(layer, annotations=told) for layer in manifest.layers))
    names = tuple(dict.fromkeys([*result.names, *_names_of(output)]))
    return Packed(data, manifest, names, result.of_descriptor)


@contextmanager
def opened_sink(outputs: Outputs, output: Output) -> Iterator[Sink]:
    """Open what takes the members of an archive."""
    if not _is_tar(output):
        yield DirectorySink(output.dest)
        return
    with opened(outputs, output) as out:
        yield TarSink(out.write)


@contextmanager
def opened(outputs: Outputs, output: Output) -> Iterator[BinaryIO]:
    """Open what an output is written to."""
    if takes_stdout(output):
        assert outputs.stdout is not None
        yield outputs.stdout
        outputs.stdout.flush()
        return
    try:
        with replacing(output.dest) as out:
            yield out
    except FileNotFoundError as error:
        raise BuildError(f"open {output.dest}: no such file or directory") from error
