"""What the tests of builds share: a workspace in a directory, base images from tars in memory, builds with events."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from minidock.core.config import ImageConfig
from minidock.core.descriptor import CONFIG_DIGEST, Manifest
from minidock.core.digest import Digest
from minidock.core.entries import FILE, Entry, Tree
from minidock.core.events import Event, StepCached, StepDone, StepReason, StepStarted
from minidock.engine import images, importer
from minidock.engine.build import build
from minidock.engine.preparing import BuildRequest
from minidock.engine.workspace import Workspace
from minidock.runtime import ids
from minidock.runtime.base import Runtime
from minidock.runtime.fake import FakeRuntime
from minidock.store.contents import Contents
from minidock.store.store import Store
from minidock.store.writer import Disk

MTIME = 1_700_000_000
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1001:\nstaff:x:50:\n"


class TickingClock:
    """A clock that is one second further each time it is asked."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def open_store(root: Path | str, disk: Disk | None = None, boot_id: str = "boot") -> Store:
    """Return the store at ``root`` for whoever runs the tests."""
    return Store(str(root), uid=ids.outside_uid(), id_mode=ids.id_mode(), boot_id=boot_id, disk=disk)


def workspace(root: Path | str, runtime: Runtime | None = None, disk: Disk | None = None) -> Workspace:
    """Return a workspace whose RUN steps are those of ``runtime``."""
    return Workspace(open_store(root, disk), TickingClock(), lambda: runtime or FakeRuntime())


def root_tar(entries: Sequence[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a tar of the given members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for item in entries:
            info, content = item if isinstance(item, tuple) else (item, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def member(path: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, **fields: Any) -> tarfile.TarInfo:
    """Return one member of a tar."""
    info = tarfile.TarInfo(path)
    info.type = kind
    info.mode = mode
    info.mtime = MTIME
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def directory(path: str, mode: int = 0o755, **fields: Any) -> tarfile.TarInfo:
    """Return a directory of a tar."""
    return member(path, tarfile.DIRTYPE, mode, **fields)


def link(path: str, target: str) -> tarfile.TarInfo:
    """Return a symbolic link of a tar."""
    return member(path, tarfile.SYMTYPE, 0o777, linkname=target)


def base_tar() -> bytes:
    """Return the root file system of `base:1`: merged usr, a sticky /tmp, accounts."""
    return root_tar(
        [
            directory("."),
            directory("bin"),
            (member("bin/sh", mode=0o755), b"#!shell"),
            directory("etc"),
            (member("etc/group"), GROUP.encode()),
            (member("etc/passwd"), PASSWD.encode()),
            link("lib", "usr/lib"),
            directory("tmp", 0o1777),
            directory("usr"),
            directory("usr/lib"),
        ]
    )


def import_base(ws: Workspace, packed: bytes | None = None, name: str = "base:1") -> Digest:
    """Store a base image and return its ID."""
    return importer.import_tar(ws, io.BytesIO(packed or base_tar()), name, message="base")


def write_context(place: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below ``place`` (a name that ends in ``/`` is a directory) and return it."""
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = place / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return place


def settle(place: Path, seconds: int = MTIME) -> None:
    """Date everything below ``place`` alike, links too."""
    for path in [*place.rglob("*"), place]:
        os.utime(path, (seconds, seconds), follow_symlinks=False)


@dataclass
class Built:
    """A build that ended well and what it reported."""

    image_id: Digest
    events: list[Event] = field(default_factory=list)

    @property
    def outcomes(self) -> list[str]:
        """One line per step of a stage: ``CACHED`` or ``DONE`` and its name, in order of appearance."""
        return outcomes(self.events)

    @property
    def reasons(self) -> list[str]:
        """Why steps were rebuilt, in order."""
        return [event.text for event in self.events if isinstance(event, StepReason)]


def outcomes(events: Sequence[Event]) -> list[str]:
    """Return what became of each step of a stage."""
    names = {event.number: event.name for event in events if isinstance(event, StepStarted)}
    ends = {event.number: "CACHED" for event in events if isinstance(event, StepCached)}
    ends |= {event.number: "DONE" for event in events if isinstance(event, StepDone)}
    return [f"{ends.get(number, '-')} {name}" for number, name in names.items() if re.match(r"\[(\S+ )?\d", name)]


def run_build(ws: Workspace, context: Path | str, **fields: Any) -> Built:
    """Build and return the result with its events."""
    events: list[Event] = []
    result = build(ws, BuildRequest(str(context), **fields), events.append)
    return Built(result.image_id, events)


def tree_of(ws: Workspace, image_id: Digest) -> Tree:
    """Return the merged tree of an image."""
    return ws.store.layers.tree(images.load(ws, image_id).config.diff_ids)


def shown(entry: Entry) -> str:
    """Return an entry's attributes in one line, times left out."""
    target = f" -> {entry.linkname}" if entry.linkname else ""
    size = f" {entry.size}" if entry.kind == FILE else ""
    return f"{entry.kind} {entry.mode:o} {entry.uid}:{entry.gid}{size}{target}"


def top_layer(ws: Workspace, image_id: Digest) -> dict[str, str]:
    """Return what the last layer of an image holds, by path."""
    entries = ws.store.layers.entries(images.load(ws, image_id).config.diff_ids[-1])
    return {entry.path: shown(entry) for entry in entries}


def content_of(ws: Workspace, image_id: Digest, path: str) -> bytes:
    """Return the content of a file of an image, links followed."""
    diff_ids = images.load(ws, image_id).config.diff_ids
    tree = ws.store.layers.tree(diff_ids)
    entry = tree.get(tree.resolve(path))
    assert entry is not None, f"{path} is not in the image"
    with Contents(ws.store.blobs, ws.store.layers, diff_ids) as contents:
        return contents.read(entry)


def check_consistent(store: Store) -> None:
    """Everything that a name or a record promises is there and unharmed."""
    for item in store.images.list():
        manifest = Manifest.from_bytes(store.blobs.read(item.digest))
        assert str(manifest.config.digest) == item.annotations[CONFIG_DIGEST]
        config = ImageConfig.from_bytes(store.blobs.read(manifest.config.digest))
        assert len(config.diff_ids) == len(manifest.layers)
        for diff_id, layer in zip(config.diff_ids, manifest.layers, strict=True):
            assert Path(store.layout.blob(layer.digest)).stat().st_size == layer.size
            assert store.layers.get(diff_id).blob.digest == layer.digest
    for record in store.cache.records():
        if record.image_id is not None:
            config = ImageConfig.from_bytes(store.blobs.read(record.image_id))
            assert all(store.blobs.has(diff_id) for diff_id in config.diff_ids)
