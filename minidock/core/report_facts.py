"""The report, made of what was found in a store: everything here is decided, nothing is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest

from minidock.core.build_record import BuildRecord
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.report import ImageDetails, ImageFile, LargeFile, Report, ReportImage, ReportLayer
from minidock.core.report_images import Choice, FoundImage
from minidock.core.report_steps import last_build, layer_instructions, report_steps
from minidock.core.stored_files import Fate, LayerBytes, StoredFile, layer_bytes
from minidock.core.summary import DiskUsage

_FILES_OF_IMAGE, _WASTED_OF_IMAGE, _FILES_OF_LAYER = 12, 8, 5
MOST_STEPS = 150


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: ``sizes`` and ``stored_sizes`` of every layer of an image, ``images`` of the whole store.

    ``builds`` are the newest first.
    """

    program: str
    store: str
    made: str
    usage: DiskUsage
    images: tuple[FoundImage, ...]
    sizes: Mapping[Digest, int]
    stored_sizes: Mapping[Digest, int]
    builds: tuple[BuildRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of one image: the largest, those in vain among them, bytes by fate, the largest of each layer."""

    files: tuple[StoredFile, ...]
    bytes: LayerBytes
    of_layers: tuple[tuple[LargeFile, ...], ...]

    @classmethod
    def of(cls, stack: Sequence[Sequence[StoredFile]]) -> FoundFiles:
        """Return what the report needs of what each layer stores, base first."""
        everything = [file for layer in stack for file in layer]
        of_layers = tuple(
            tuple(LargeFile(file.entry.path, file.entry.size) for file in _largest(layer, _FILES_OF_LAYER))
            for layer in stack
        )
        wasted = [file for file in everything if file.fate is not Fate.VISIBLE]
        named = {*_largest(everything, _FILES_OF_IMAGE), *_largest(wasted, _WASTED_OF_IMAGE)}
        return cls(tuple(_largest(list(named), len(named))), layer_bytes(everything), of_layers)


def _largest(files: Sequence[StoredFile], count: int) -> list[StoredFile]:
    some = (file for file in files if file.entry.size)
    return nsmallest(count, some, key=lambda file: (-file.entry.size, file.entry.path, file.layer))


def make_report(found: Found, choice: Choice, files: Mapping[Digest, FoundFiles], gaps: Sequence[str] = ()) -> Report:
    """Return the report of the chosen images; ``files`` are by image ID, those not looked at are missing.

    ``gaps`` are sentences about what could not be read.
    """
    users = Counter(diff_id for image in found.images for diff_id in set(image.diff_ids))
    places = {diff_id: place for place, diff_id in enumerate(_distinct(choice.images))}
    detailed = {image.image_id for image in choice.detailed}
    images = []
    for image in choice.images:
        details = None
        if image.image_id in detailed:
            details = _details(image, found, places, files.get(image.image_id))
        images.append(_image(image, found, places, users, details))
    usage = found.usage
    return Report(
        found.program,
        found.store,
        found.made,
        usage.summary,
        usage.on_disk,
        usage.overhead,
        usage.writers,
        tuple(_layers(found, choice, places, users, files)),
        tuple(images),
        (*choice.left_out, *gaps),
    )


def _distinct(images: Sequence[FoundImage]) -> dict[Digest, None]:
    return dict.fromkeys(diff_id for image in images for diff_id in image.diff_ids)


def _layers(
    found: Found,
    choice: Choice,
    places: Mapping[Digest, int],
    users: Mapping[Digest, int],
    files: Mapping[Digest, FoundFiles],
) -> Iterator[ReportLayer]:
    instructions: dict[Digest, str] = {}
    largest: dict[Digest, tuple[LargeFile, ...]] = {}
    for image in choice.images:
        for diff_id, text in zip(image.diff_ids, layer_instructions(image.config), strict=True):
            instructions.setdefault(diff_id, text)
        known = files.get(image.image_id)
        if known is not None:
            largest |= zip(image.diff_ids, known.of_layers, strict=True)
    for diff_id in places:
        yield ReportLayer(
            diff_id,
            found.sizes[diff_id],
            found.stored_sizes[diff_id],
            users[diff_id],
            instructions.get(diff_id, ""),
            largest.get(diff_id, ()),
        )


def _image(
    image: FoundImage,
    found: Found,
    places: Mapping[Digest, int],
    users: Mapping[Digest, int],
    details: ImageDetails | None,
) -> ReportImage:
    config = image.config
    size = sum(found.sizes[diff_id] for diff_id in image.diff_ids)
    shared = sum(found.sizes[diff_id] for diff_id in image.diff_ids if users[diff_id] > 1)
    return ReportImage(
        image.image_id,
        image.names,
        config.created or "",
        str(config.platform),
        size,
        shared,
        size - shared,
        image.containers,
        tuple(places[diff_id] for diff_id in image.diff_ids),
        details,
    )


def _details(image: FoundImage, found: Found, places: Mapping[Digest, int], files: FoundFiles | None) -> ImageDetails:
    build = last_build(image.image_id, found.builds)
    steps = report_steps(image.config, image.lines, found.sizes, places, build)
    built = build.ended if build is not None else ""
    details = ImageDetails(steps[:MOST_STEPS], max(len(steps) - MOST_STEPS, 0), built)
    if files is None:
        return details
    made = [position for position, step in enumerate(steps) if step.layer is not None]
    return replace(details, files=tuple(_file(file, made) for file in files.files), bytes=files.bytes)


def _file(file: StoredFile, made: Sequence[int]) -> ImageFile:
    """Return a file with steps in place of layers; ``made`` are the steps that made layers."""
    way, other = "", None
    if file.original is not None:
        other = made[file.original.layer]
    elif file.hiding is not None:
        way, other = file.hiding.way.value, made[file.hiding.layer]
    return ImageFile(file.entry.path, file.entry.size, made[file.layer], file.fate.value, way, other)
