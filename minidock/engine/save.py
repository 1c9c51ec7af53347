"""The images of the store that names and IDs mean, as one archive."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.descriptor import REF_NAME
from minidock.core.digest import Digest
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.engine import events, images
from minidock.engine.pack import Packed, Since, pack
from minidock.engine.sinks import Sink
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, NoSuchImage


def save(
    ws: Workspace, names: Sequence[str], sink: Sink, platforms: Sequence[Platform] = (), *, since: Sequence[str] = ()
) -> None:
    """Write the images that references and IDs name as docker's archive.

    A repository without a tag means all of its tags; what is named by its ID has no name in the archive.
    With ``platforms`` an image must be for one of them. The layers of the images ``since`` are left out: who loads the
    archive needs to have those. Raises: MinidockError in docker's words.
    """
    known = [images.find(ws, text) for text in since]
    shown = tuple(f"{text} ({image.image_id.short})" for text, image in zip(since, known, strict=True))
    others = Since(shown, frozenset(diff_id for image in known for diff_id in image.config.diff_ids))
    found: dict[Digest, tuple[str, ...]] = {}
    for text in names:
        for image, name in _named(ws, text):
            tags = found.get(image.image_id, ())
            found[image.image_id] = tags if not name or name in tags else (*tags, name)
    with ws.store.session() as session:
        packed = []
        for image_id, tags in found.items():
            image = images.load(ws, image_id)
            images.require_platform(image.config, platforms, ", ".join(tags) or str(image_id))
            session.pin([image_id, *image.config.diff_ids])
            data, manifest = images.stored(ws, image)
            session.pin(layer.digest for layer in manifest.layers)
            packed.append(Packed(data, manifest.as_oci(), tags))  # skopeo takes no other in a layout
        pack(ws, packed, sink, is_for_docker=True, since=others)
    for image_id in found:
        events.tell_image(ws, "save", image_id)


def _named(ws: Workspace, text: str) -> list[tuple[images.Image, str]]:
    try:
        image = images.find(ws, text)
    except NoSuchImage as error:
        tags = [] if ":" in text.rpartition("/")[2] else _tags(ws, text)
        if not tags:
            raise MinidockError(f"No such image: {text}", hint="see `minidock image ls`") from error
        return [(images.find(ws, name), name) for name in tags]
    if images.is_id(ws, text):
        return [(image, "")]
    name = images.familiar(text)
    if text in (name, str(Reference.parse(name))):
        return [(image, name)]
    return [(images.find(ws, tag), tag) for tag in _tags(ws, text)] or [(image, name)]


def _tags(ws: Workspace, text: str) -> list[str]:
    repository = images.familiar(text).rpartition(":")[0]
    known = [item.annotations.get(REF_NAME, "") for item in ws.store.images.list()]
    return sorted(name for name in known if name.rpartition(":")[0] == repository)
