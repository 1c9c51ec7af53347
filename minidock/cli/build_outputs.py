"""The options of `build` that say what becomes of the result, and the files that tell about it."""

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from minidock.cli.values import unless_empty
from minidock.core.build_options import Output, key_and_value
from minidock.core.dataclass import dataclass
from minidock.errors import FlagError, InvalidReference, MinidockError

if TYPE_CHECKING:
    from minidock.core.build_options import Annotation
    from minidock.engine.build import BuildResult
    from minidock.engine.outputs import Outputs


def parse_tag(text: str) -> str:
    """Return ``text`` if it names an image. Raises: FlagError in docker's words."""
    from minidock.core.reference import Reference

    try:
        Reference.parse(text)
    except InvalidReference as error:
        raise FlagError(str(error)) from error
    return text


@dataclass(frozen=True, slots=True)
class BuildOutputs:
    """Names, labels, outputs, annotations, and files with digests."""

    tags: Annotated[
        tuple[str, ...],
        typer.Option(
            "--tag", "-t", parser=parse_tag, metavar="list", help='Name and optionally a tag in the "name:tag" format'
        ),
    ] = ()
    labels: Annotated[tuple[str, ...], typer.Option("--label", metavar="list", help="Set metadata for an image")] = ()
    annotation: Annotated[
        tuple[str, ...], typer.Option("--annotation", metavar="list", help="Add annotation to the image")
    ] = ()
    iidfile: Annotated[str, typer.Option("--iidfile", help="Write the image ID to a file")] = ""
    load: Annotated[bool, typer.Option("--load", help='Shorthand for "--output=type=docker"')] = False
    metadata_file: Annotated[str, typer.Option("--metadata-file", help="Write build result metadata to a file")] = ""
    outputs: Annotated[
        tuple[Output | None, ...],
        typer.Option(
            "--output",
            "-o",
            parser=unless_empty(Output.parse),
            metavar="list",
            help='Output destination (format: "type=local,dest=path")',
        ),
    ] = ()
    push: Annotated[bool, typer.Option("--push", help='Shorthand for "--output=type=registry"')] = False

    def wanted_labels(self) -> dict[str, str]:
        """Return the labels by name; one without a value has an empty one. Raises: InvalidRequest."""
        return {name: value or "" for name, value in map(key_and_value, self.labels)}

    def wanted(self) -> "Outputs":
        """Return what becomes of the result."""
        from minidock.engine.outputs import Outputs

        found = list(self._given)
        if self.load and not any(output.type == "docker" for output in found):
            found.append(Output("docker"))
        if self.push:
            found.append(Output("registry"))
        return Outputs(tuple(found), None if sys.stdout.isatty() else sys.stdout.buffer)

    @property
    def _given(self) -> Iterator[Output]:
        return filter(None, self.outputs)

    @property
    def is_to_stdout(self) -> bool:
        """Whether stdout belongs to an output."""
        from minidock.engine.outputs import takes_stdout

        return any(takes_stdout(output) for output in self._given)

    def annotations(self) -> tuple["Annotation", ...]:
        """Return the annotations. Raises: InvalidRequest."""
        from minidock.core.build_options import parse_annotations
        from minidock.engine.platforms import this_platform

        return tuple(
            item for text in filter(None, self.annotation) for item in parse_annotations(text, this_platform())
        )

    def begin(self) -> None:
        """Remove what the last build told: a script that looks for it afterwards must not find that.

        Raises: MinidockError for a file that has no directory, before time is spent on the build.
        """
        for path in (self.iidfile, self.metadata_file):
            if path and not os.path.isdir(os.path.dirname(path) or "."):
                raise MinidockError(f"open {path}: no such file or directory")
            if os.path.isfile(path):
                os.unlink(path)

    def end(self, result: "BuildResult") -> None:
        """Write the files."""
        if self.iidfile:
            with open(self.iidfile, "w", encoding="ascii") as out:
                out.write(str(result.image_id))
        if self.metadata_file:
            with open(self.metadata_file, "w", encoding="utf-8") as out:
                told = _metadata(result, has_image=self.wanted().has_image)
                out.write(json.dumps(told, indent=2, sort_keys=True))


def _metadata(result: "BuildResult", *, has_image: bool) -> dict[str, object]:
    """Return what buildx says of a result; of files alone it names the build only.

    Source: docker/buildx, docs/reference/buildx_build.md, --metadata-file.
    """
    from minidock.core.reference import Reference

    found: dict[str, object] = {"buildx.build.ref": f"default/default/{os.urandom(16).hex()[:25]}"}
    if not has_image:
        return found
    found["containerimage.descriptor"] = result.manifest.to_json()
    found["containerimage.digest"] = str(result.manifest.digest)
    if result.image_id != result.manifest.digest:  # the image of one platform
        found["containerimage.config.digest"] = str(result.image_id)
    if result.names:
        found["image.name"] = ",".join(str(Reference.parse(name)) for name in result.names)
    return found
