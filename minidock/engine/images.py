"""Images by name or ID: finding, listing, naming, and the parts of one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from minidock.core import mediatype
from minidock.core.base_image import BaseImage
from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import BASE, CONFIG_DIGEST, CREATED, LINES, REF_NAME, REPO_DIGESTS, Descriptor, Manifest
from minidock.core.digest import Digest
from minidock.core.reference import Reference
from minidock.core.step_lines import StepLines, lines_from_text, lines_to_text
from minidock.core.summary import HistoryRow
from minidock.engine import events
from minidock.engine.image_list import config_digest, moment
from minidock.engine.workspace import Workspace
from minidock.errors import BlobNotFound, InvalidReference, InvalidRequest, MinidockError, NoSuchImage
from minidock.store.images import describe
from minidock.store.session import Session

if TYPE_CHECKING:
    from minidock.core.platform import Platform
    from minidock.store.cache import Record

_ID = re.compile(r"(sha256:)?([0-9a-f]{4,64})")


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its ID (the digest of its config), its config, and its familiar names, sorted."""

    image_id: Digest
    config: ImageConfig
    names: tuple[str, ...] = ()


def familiar(text: str) -> str:
    """Return the short name with tag that the store knows an image by. Raises: InvalidReference."""
    return Reference.parse(text).familiar


def new_name(text: str) -> str:
    """Return the familiar name that an image is to get; a digest is no name to give: it says what the image is.

    Raises: InvalidReference, InvalidRequest.
    """
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise InvalidRequest("refusing to create a tag with a digest reference")
    return reference.familiar


def find(ws: Workspace, text: str) -> Image:
    """Return the image that a reference, an ID or the beginning of one names; any step's image too.

    Raises: NoSuchImage, InvalidReference.
    """
    descriptors = ws.store.images.list()
    image_id = _by_name(descriptors, text) or _by_id(ws, descriptors, text)
    if image_id is None:
        try:
            name = familiar(text)
        except InvalidReference:
            if not _ID.fullmatch(text):
                raise
            name = text
        raise NoSuchImage(name)
    return load(ws, image_id)


def load(ws: Workspace, image_id: Digest) -> Image:
    """Return the image with this ID. Raises: NoSuchImage if its config is gone."""
    try:
        config = ImageConfig.from_bytes(ws.store.blobs.read(image_id))
    except BlobNotFound as error:
        raise NoSuchImage(str(image_id)) from error
    names = [
        item.annotations[REF_NAME]
        for item in ws.store.images.list()
        if REF_NAME in item.annotations and item.annotations.get(CONFIG_DIGEST) == str(image_id)
    ]
    return Image(image_id, config, tuple(sorted(names)))


def _by_name(descriptors: Sequence[Descriptor], text: str) -> Digest | None:
    try:
        name = familiar(text)
    except InvalidReference:
        return None
    at_digest = Reference.parse(text).without_digest_tag().familiar if "@" in name else name
    for item in descriptors:
        if item.annotations.get(REF_NAME) == name or at_digest in item.annotations.get(REPO_DIGESTS, "").split():
            return config_digest(item)
    return None


def _by_id(ws: Workspace, descriptors: Sequence[Descriptor], text: str) -> Digest | None:
    match = _ID.fullmatch(text)
    if match is None:
        return None
    known = {config_digest(item) for item in descriptors} - {None}
    known |= {record.image_id for record in ws.store.cache.records() if record.image_id} if ws.store.exists else set()
    found = sorted(digest for digest in known if digest is not None and digest.hex.startswith(match[2]))
    if len(found) > 1:
        raise MinidockError(
            f"the image ID prefix {text!r} is ambiguous: it could be {found[0].short} or {found[1].short}"
        )
    return found[0] if found else None


def layer_sizes(ws: Workspace, config: ImageConfig) -> list[int]:
    """Return the content bytes of each layer, base first."""
    return [ws.store.layers.size_of(diff_id) for diff_id in config.diff_ids]


def is_id(ws: Workspace, text: str) -> bool:
    """Tell whether ``text`` is the ID of an image or the beginning of one, not a name."""
    descriptors = ws.store.images.list()
    return _by_name(descriptors, text) is None and _by_id(ws, descriptors, text) is not None


def stored(ws: Workspace, image: Image) -> tuple[bytes, Manifest]:
    """Return the config of an image as it is stored, and its manifest, which is made if none is stored."""
    data = ws.store.blobs.read(image.image_id)
    for item in ws.store.images.list():
        if config_digest(item) == image.image_id:
            return data, Manifest.from_bytes(ws.store.blobs.read(item.digest))
    return data, manifest_of(ws, image.config, data)


def manifest_of(
    ws: Workspace, config: ImageConfig, data: bytes, annotations: Mapping[str, str] = MappingProxyType({})
) -> Manifest:
    """Return the manifest of an image whose config is ``data``."""
    layers = tuple(ws.store.layers.get(diff_id).blob for diff_id in config.diff_ids)
    return Manifest(Descriptor(mediatype.CONFIG, Digest.sha256(data), len(data)), layers, annotations)


def publish(
    ws: Workspace,
    session: Session,
    config: ImageConfig,
    names: Sequence[str],
    *,
    data: bytes | None = None,
    annotations: Mapping[str, str] = MappingProxyType({}),
    manifest: Manifest | None = None,
    repo_digests: Sequence[str] = (),
    lines: Sequence[StepLines | None] = (),
    base: BaseImage | None = None,
) -> tuple[Digest, Digest]:
    """Store an image's config and manifest, then its names; return image ID and manifest digest.

    ``names`` are familiar; without any the image stands nameless in the store. ``data`` is the config as others wrote
    it, whose digest is to stay, and ``manifest`` theirs, whose blobs are there; ``annotations`` are those of a new
    manifest. ``repo_digests`` (``NAME@DIGEST``) are where registries have the image, ``lines`` where its steps stand
    in the Dockerfile, ``base`` what it was built from; where nothing is said, what is known already stays.
    """
    layers = [ws.store.layers.get(diff_id, session) for diff_id in config.diff_ids]
    session.pin(layer.blob.digest for layer in layers)
    data = config.to_bytes() if data is None else data
    image_id = ws.store.blobs.put(session, data)
    if manifest is None:
        manifest = manifest_of(ws, config, data, annotations)
    session.pin(layer.digest for layer in manifest.layers)
    document = manifest.to_bytes()
    digest = ws.store.blobs.put(session, document)
    size = sum(layer.size for layer in layers)
    listed = ws.store.images.list()
    described = describe(
        Descriptor(manifest.media_type, digest, len(document)),
        image_id,
        config.created,
        size,
        (*known_repo_digests(listed, digest), *repo_digests),
        lines_to_text(lines or known_lines(listed, image_id)),
        _text_of(base or known_base(listed, image_id)),
    )
    ws.store.images.add(session, described, tuple(names))
    return image_id, digest


def known_repo_digests(listed: Sequence[Descriptor], digest: Digest) -> tuple[str, ...]:
    """Return where registries have the image with this manifest digest or image ID, ``NAME@DIGEST``."""
    found = [
        item.annotations.get(REPO_DIGESTS, "").split()
        for item in listed
        if digest in (item.digest, config_digest(item))
    ]
    return tuple(dict.fromkeys(name for names in found for name in names))


def known_lines(listed: Sequence[Descriptor], image_id: Digest) -> tuple[StepLines | None, ...]:
    """Return where the steps of an image stand in the Dockerfile of its last build, oldest first; nothing if unknown.

    There may be fewer than steps.
    """
    own = [item for item in listed if LINES in item.annotations and config_digest(item) == image_id]
    return lines_from_text(own[-1].annotations[LINES]) if own else ()  # what was added last stands last


def known_base(listed: Sequence[Descriptor], image_id: Digest) -> BaseImage | None:
    """Return what an image was built from in its last build, None if that is not known."""
    own = [item for item in listed if BASE in item.annotations and config_digest(item) == image_id]
    return BaseImage.from_text(own[-1].annotations[BASE]) if own else None


def _text_of(base: BaseImage | None) -> str:
    return "" if base is None else base.to_text()


def tag(ws: Workspace, source: str, target: str) -> None:
    """Give an image one more name, taking it from another image if need be."""
    try:
        name = new_name(target)
    except InvalidReference as error:
        raise MinidockError(f'Error parsing reference: "{target}" is not a valid repository/tag: {error}') from error
    image = find(ws, source)
    with ws.store.session() as session:
        session.pin([image.image_id, *image.config.diff_ids])
        load(ws, image.image_id)  # somebody may have removed it before it was pinned
        data, manifest = stored(ws, image)
        publish(ws, session, image.config, [name], data=data, manifest=manifest)
    events.tell_image(ws, "tag", image.image_id, name)


def history(ws: Workspace, text: str) -> tuple[HistoryRow, ...]:
    """Return one row per instruction of an image, the newest first; the sizes add up to the image's.

    A row names the image that its step left where this store has it.
    """
    image = find(ws, text)
    sizes = iter(layer_sizes(ws, image.config))
    steps = _step_images(ws, image)
    rows = []
    for position, entry in enumerate(image.config.history):
        rows.append(
            HistoryRow(
                image_id=steps[position],
                created=moment(entry.created),
                created_by=entry.created_by,
                size=0 if entry.is_empty_layer else next(sizes),
                comment=entry.comment,
            )
        )
    return tuple(reversed(rows))


def _step_images(ws: Workspace, image: Image) -> list[Digest | None]:
    """Return the image after each history entry, oldest first, None where this store has none."""
    records = ws.store.cache.records()
    steps: list[Digest | None] = [None] * len(image.config.history)
    parents = {record.image_id: record.parent for record in records if record.image_id is not None}
    image_id: Digest | None = image.image_id
    for position in reversed(range(len(steps))):
        if image_id is None:
            # What it was built on came another way, or the build cache has been pruned: the images themselves tell.
            _find_step_images(ws, image.config, steps, records)
            break
        if image_id == image.image_id or ws.store.blobs.has(image_id):
            steps[position] = image_id
        image_id = parents.get(image_id)
    return steps


def _find_step_images(
    ws: Workspace, config: ImageConfig, steps: list[Digest | None], records: Sequence[Record]
) -> None:
    """Fill in the images of steps that are not known yet, from all images whose history a history begins with."""
    created = {entry.created for entry, step in zip(config.history, steps, strict=True) if step is None}
    known = {record.image_id for record in records if record.created in created}
    known |= {config_digest(item) for item in ws.store.images.list() if item.annotations.get(CREATED) in created}
    for image_id in sorted(digest for digest in known if digest is not None):
        if not ws.store.blobs.has(image_id):
            continue
        other = ImageConfig.from_bytes(ws.store.blobs.read(image_id))
        count = len(other.history)
        is_prefix = other.history == config.history[:count] and other.diff_ids == config.diff_ids[: len(other.diff_ids)]
        if 0 < count <= len(steps) and is_prefix and steps[count - 1] is None:
            steps[count - 1] = image_id


def require_platform(config: ImageConfig, platforms: Sequence[Platform], shown: str) -> None:
    """Refuse an image that is for none of the platforms. Raises: MinidockError in docker's words."""
    if platforms and not any(wanted.matches(config.platform) for wanted in platforms):
        wanted = ", ".join(map(str, platforms))
        raise MinidockError(
            f"image with reference {shown} was found but does not provide the specified platform ({wanted})"
        )
