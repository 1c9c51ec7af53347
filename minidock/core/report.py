"""What the page of `minidock report` shows, as values: layers once, images by the layers they have, and the disk.

Layers and images stand in lists and refer to each other by their places. Images stand in the order of the tree of
layers, so that those which begin with the same layers are neighbours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.reason import Reason
from minidock.core.stored_files import LayerBytes
from minidock.core.summary import UsageRow

VERSION = 1


class LargeFile(NamedTuple):
    """A file as a layer stores it: its path without a leading slash, its bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class ReportLayer:
    """A layer: ``size`` is bytes of content, ``stored_size`` those of the blob; ``users`` images of the store have it.

    ``instruction`` is the one that made it, ``files`` are the largest it stores, if they were looked at.
    """

    diff_id: Digest
    size: int
    stored_size: int
    users: int
    instruction: str
    files: tuple[LargeFile, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportStep:
    """One entry of an image's history, oldest first; ``layer`` is its place in the list of layers, None without one.

    ``where`` is its place in the Dockerfile (``Dockerfile:3-5``), ``outcome`` what the last build of the image did
    (`build_record`); empty where nothing tells.
    """

    instruction: str
    size: int
    layer: int | None = None
    created: str = ""
    where: str = ""
    outcome: str = ""
    reasons: tuple[Reason, ...] = ()


class ImageFile(NamedTuple):
    """One of the largest files that an image stores, and the ``step`` (place in its history) that stored it.

    ``fate`` is that of `stored_files`; ``way`` how it was hidden, ``other`` the step that hid it or has the original.
    """

    path: str
    size: int
    step: int
    fate: str
    way: str = ""
    other: int | None = None


@dataclass(frozen=True, slots=True)
class ImageDetails:
    """What is told of an image beyond its size: steps, largest files, and what its last build was.

    ``more_steps`` follow that are not told; ``built`` is RFC 3339. ``bytes`` are what its layers store by fate, None
    where the files were not looked at.
    """

    steps: tuple[ReportStep, ...]
    more_steps: int = 0
    built: str = ""
    files: tuple[ImageFile, ...] = ()
    bytes: LayerBytes | None = None


@dataclass(frozen=True, slots=True)
class ReportImage:
    """An image: its names, sorted; its layers, base first, by their places in the list of layers.

    ``shared_size`` bytes are in layers that other images have too, ``unique_size`` in its own. ``details`` is None for
    an image that is only listed.
    """

    image_id: Digest
    names: tuple[str, ...]
    created: str
    platform: str
    size: int
    shared_size: int
    unique_size: int
    containers: int
    layers: tuple[int, ...]
    details: ImageDetails | None = None

    @property
    def label(self) -> str:
        """What to call it: its first name, or the beginning of its ID."""
        return self.names[0] if self.names else self.image_id.short


@dataclass(frozen=True, slots=True)
class Report:
    """Everything on the page.

    ``on_disk`` are terms that add up to what `du` says of ``store``, ``overhead`` the parts of the last of them,
    ``writers`` how many may have written meanwhile. ``left_out`` says in sentences what is not here.
    """

    program: str
    store: str
    made: str
    summary: tuple[UsageRow, ...]
    on_disk: tuple[tuple[str, int], ...]
    overhead: tuple[tuple[str, int], ...]
    writers: int
    layers: tuple[ReportLayer, ...]
    images: tuple[ReportImage, ...]
    left_out: tuple[str, ...] = ()

    @property
    def apparent_size(self) -> int:
        """The content bytes of the images if they shared nothing."""
        return sum(image.size for image in self.images)

    @property
    def stored_size(self) -> int:
        """The content bytes of their layers, each counted once."""
        return sum(layer.size for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return the document, times in RFC 3339, sizes in bytes."""
        return {
            "version": VERSION,
            "program": self.program,
            "store": self.store,
            "made": self.made,
            "summary": [
                {"type": row.kind.value, "total": row.total, "active": row.active}
                | {"size": row.size, "reclaimable": row.reclaimable}
                for row in self.summary
            ],
            "on_disk": dict(self.on_disk),
            "overhead": dict(self.overhead),
            "writers": self.writers,
            "layers": [_layer_json(layer) for layer in self.layers],
            "images": [_image_json(image) for image in self.images],
            "left_out": list(self.left_out),
        }


def _layer_json(layer: ReportLayer) -> dict[str, Any]:
    return {
        "diff_id": str(layer.diff_id),
        "size": layer.size,
        "stored_size": layer.stored_size,
        "users": layer.users,
        "instruction": layer.instruction,
        "files": [file._asdict() for file in layer.files],
    }


def _image_json(image: ReportImage) -> dict[str, Any]:
    return {
        "id": str(image.image_id),
        "names": list(image.names),
        "created": image.created,
        "platform": image.platform,
        "size": image.size,
        "shared_size": image.shared_size,
        "unique_size": image.unique_size,
        "containers": image.containers,
        "layers": list(image.layers),
        "details": image.details and _details_json(image.details),
    }


def _details_json(details: ImageDetails) -> dict[str, Any]:
    return {
        "built": details.built,
        "more_steps": details.more_steps,
        "hidden": details.bytes and details.bytes.hidden,
        "duplicate": details.bytes and details.bytes.duplicate,
        "steps": [
            {
                "instruction": step.instruction,
                "size": step.size,
                "layer": step.layer,
                "created": step.created,
                "where": step.where,
                "outcome": step.outcome,
                "reasons": [{"text": reason.text, "details": list(reason.details)} for reason in step.reasons],
            }
            for step in details.steps
        ],
        "files": [file._asdict() for file in details.files],
    }
