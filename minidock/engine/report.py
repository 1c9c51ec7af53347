"""Collects what the page of `minidock report` shows. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from minidock.core.descriptor import LINES, REF_NAME
from minidock.core.digest import Digest
from minidock.core.report import Report
from minidock.core.report_facts import Found, FoundFiles, make_report
from minidock.core.report_images import FoundImage, choose
from minidock.core.step_lines import lines_from_text
from minidock.core.stored_files import stored_files
from minidock.core.times import format_time
from minidock.engine import images
from minidock.engine.disk_usage import disk_usage
from minidock.engine.image_list import config_digest
from minidock.engine.workspace import Workspace
from minidock.errors import StoreError
from minidock.store.layers import Layer

_MOST_ENTRIES = 600_000  # entries of layers that are looked at: some 3 seconds


def report(ws: Workspace, names: Sequence[str], program: str) -> Report:
    """Return the report of a store, or of the images that are named and those that share layers with them.

    ``program`` says what made it. Raises: NoSuchImage, InvalidReference.
    """
    wanted = [images.find(ws, name).image_id for name in names]
    found, strange = _found_images(ws, wanted)
    layers = {diff_id: _layer(ws, diff_id) for diff_id in {diff_id for image in found for diff_id in image.diff_ids}}
    sizes = {diff_id: layer.size if layer is not None else 0 for diff_id, layer in layers.items()}
    facts = Found(
        program,
        ws.store.layout.root,
        format_time(ws.clock.now()),
        disk_usage(ws),
        found,
        sizes,
        {diff_id: layer.blob.size if layer is not None else 0 for diff_id, layer in layers.items()},
        ws.store.builds.latest() if ws.store.exists else (),
    )
    choice = choose(found, sizes, wanted)
    damaged = {diff_id for diff_id, layer in layers.items() if layer is None}
    files = _files(ws, [image for image in choice.detailed if damaged.isdisjoint(image.diff_ids)])
    return make_report(facts, choice, files, _gaps(strange, len(damaged), len(choice.detailed) - len(files)))


def _found_images(ws: Workspace, wanted: Sequence[Digest]) -> tuple[tuple[FoundImage, ...], int]:
    """Return the images of the store and those ``wanted`` besides, and how many entries of its list are none."""
    names: dict[Digest, list[str]] = {image_id: [] for image_id in wanted}
    strange = 0
    lines: dict[Digest, str] = {}
    for item in ws.store.images.list():
        image_id = config_digest(item)
        if image_id is None:
            strange += 1
            continue
        names.setdefault(image_id, []).extend(item.annotations.get(REF_NAME, "").split())
        lines[image_id] = item.annotations.get(LINES) or lines.get(image_id, "")
    containers = Counter(item.record.image_id for item in ws.store.containers.list()) if ws.store.exists else Counter()
    found = []
    for image_id, known in names.items():
        config = ws.store.known.config(image_id)
        if config is None:
            strange += 1
        else:
            where = lines_from_text(lines.get(image_id, ""))
            found.append(FoundImage(image_id, tuple(sorted(known)), config, containers[image_id], where))
    return tuple(found), strange


def _layer(ws: Workspace, diff_id: Digest) -> Layer | None:
    """Return what is known of a layer; None if it is gone or damaged, which is no reason not to show the rest."""
    try:
        return ws.store.layers.get(diff_id)
    except StoreError:
        return None


def _files(ws: Workspace, wanted: Sequence[FoundImage]) -> dict[Digest, FoundFiles]:
    """Return the files of images, by image ID, until as many entries were read as can be in a moment."""
    found: dict[Digest, FoundFiles] = {}
    left = _MOST_ENTRIES
    for image in wanted:
        stack = []
        for diff_id in image.diff_ids:
            stack.append(ws.store.layers.entries(diff_id))
            left -= len(stack[-1])
        if left < 0 and found:
            break
        found[image.image_id] = FoundFiles.of(stored_files(stack))
    return found


def _gaps(strange: int, damaged: int, unread: int) -> tuple[str, ...]:
    """Return sentences about what could not be looked at."""
    told = (
        ("entries of index.json whose image this store does not have", strange),
        ("layers that are missing or damaged, and count as nothing", damaged),
        ("images whose files were not looked at: too many of them, or damaged", unread),
    )
    return tuple(f"{what}: {count:,}" for what, count in told if count)
