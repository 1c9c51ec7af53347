"""What `rmi` may take away: docker's rules and docker's refusals, decided before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.errors import ImageConflict

_SHORT = 12


@dataclass(frozen=True, slots=True)
class ImageUse:
    """A container made from the image: its ID, and whether it runs (or is paused)."""

    container_id: str
    is_running: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """The image that is to go: all its names, the containers made from it, and whether images are built on it.

    ``is_listed`` is false for the image of a single step, which the build cache keeps and no list shows.
    """

    image_id: Digest
    names: tuple[str, ...]
    uses: tuple[ImageUse, ...] = ()
    is_listed: bool = True
    has_children: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """The names to take away, and whether the image itself goes; one that stays without a name is dangling."""

    untagged: tuple[str, ...]
    deletes: bool


def decide(image: Candidate, name: str | None, *, is_forced: bool) -> Removal:
    """Return what `rmi` does to an image that was given by ``name`` (familiar, with tag), or by its ID if that is None.

    Raises: ImageConflict, in docker's words.
    """
    return _by_name(image, name, is_forced=is_forced) if name else _by_id(image, is_forced=is_forced)


def _by_name(image: Candidate, name: str, *, is_forced: bool) -> Removal:
    if len(image.names) > 1:
        return Removal((name,), deletes=False)
    if image.uses and not is_forced:
        raise ImageConflict(
            f'conflict: unable to remove repository reference "{name}" (must force) - '
            f"container {image.uses[0].container_id[:_SHORT]} is using its referenced image {image.image_id.short}"
        )
    return Removal((name,), deletes=_running(image.uses) is None)


def _by_id(image: Candidate, *, is_forced: bool) -> Removal:
    if not image.is_listed and image.has_children:
        raise _refusal(image, "cannot be forced", "image has dependent child images")
    running = _running(image.uses)
    if running is not None:
        raise _refusal(image, "cannot be forced", f"image is being used by running container {running}")
    if len(image.names) > 1 and not is_forced:
        raise _refusal(image, "must be forced", "image is referenced in multiple repositories")
    if image.uses and not is_forced:
        container = image.uses[0].container_id[:_SHORT]
        raise _refusal(image, "must be forced", f"image is being used by stopped container {container}")
    return Removal(image.names, deletes=True)


def _running(uses: Sequence[ImageUse]) -> str | None:
    return next((use.container_id[:_SHORT] for use in uses if use.is_running), None)


def _refusal(image: Candidate, force: str, reason: str) -> ImageConflict:
    return ImageConflict(f"conflict: unable to delete {image.image_id.short} ({force}) - {reason}")
