"""Snapshots: unpacked layers, made when a process first needs them. A cache of the blobs; losing one costs time.

Unpacked files are not synced (that would cost seconds for what the blobs can give again). A record says in which
boot the snapshot was made; after another boot its files are compared with the entry index before they are used.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Sequence

from xxhash import xxh3_128

from minidock.core.canonical import dumps
from minidock.core.config import chain_ids
from minidock.core.digest import Digest
from minidock.core.entries import DIRECTORY, FILE, OPAQUE, SYMLINK, Entry, ancestors
from minidock.core.id_mode import IdMode
from minidock.store.blobs import Blobs
from minidock.store.contents import Contents
from minidock.store.layers import Layer, Layers
from minidock.store.layout import Layout
from minidock.store.locks import Locks
from minidock.store.own_files import fingerprint, open_unreadable
from minidock.store.session import Session
from minidock.store.unpack import Unpacker
from minidock.store.writer import Disk, write_new


class Snapshots:
    """The unpacked layers of a store."""

    def __init__(
        self, layout: Layout, disk: Disk, locks: Locks, blobs: Blobs, layers: Layers, id_mode: IdMode, boot_id: str
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._locks = locks
        self._blobs = blobs
        self._layers = layers
        self._id_mode = id_mode
        self._boot_id = boot_id

    def stack(
        self, session: Session, diff_ids: Sequence[Digest], check: Callable[[], None] | None = None
    ) -> tuple[str, ...]:
        """Return the directories of the unpacked layers, topmost first, after unpacking those that are missing.

        ``check`` is called now and then meanwhile; what it raises ends the work.
        """
        paths = []
        for position, chain_id in enumerate(chain_ids(diff_ids)):
            layer = self._layers.get(diff_ids[position], session)
            key = layer.diff_id if layer.has_complete_parents else chain_id
            session.pin([key])
            if not self._is_usable(session, key, layer):
                with self._locks.key(key.hex, f"another minidock that unpacks layer {key.short}"):
                    if not self._is_usable(session, key, layer):
                        self._make(session, key, layer, diff_ids[:position], check)
            paths.append(f"{self._layout.snapshot(key)}/fs")
        # Overlayfs refuses a directory that is there twice, as equal layers are; of two the upper one hides the lower.
        return tuple(dict.fromkeys(reversed(paths)))

    def _is_usable(self, session: Session, key: Digest, layer: Layer) -> bool:
        directory = self._layout.snapshot(key)
        try:
            with open(f"{directory}/record.json", "rb") as file:
                record = json.load(file)
        except FileNotFoundError:
            return False
        except ValueError:
            record = {}
        if record.get("boot_id") == self._boot_id:
            return True
        if record and self._is_intact(f"{directory}/fs", self._layers.entries(layer.diff_id, session)):
            session.replace(f"{directory}/record.json", self._record(layer), is_durable=False)
            return True
        session.discard(directory)
        return False

    def _is_intact(self, root: str, entries: Sequence[Entry]) -> bool:
        """Whether every file of an unpacked layer still has its content (a power cut empties or zeroes files)."""
        for entry in entries:
            if entry.kind not in (FILE, DIRECTORY, SYMLINK):
                continue
            path = f"{root}/{entry.path}"
            try:
                status = os.lstat(path)
                if entry.kind == FILE and not self._has_content(path, status, entry):
                    return False
                if entry.kind == SYMLINK and os.readlink(path) != entry.linkname:
                    return False
            except OSError:
                return False
            if entry.kind == DIRECTORY and not stat.S_ISDIR(status.st_mode):
                return False
        return True

    def _has_content(self, path: str, status: os.stat_result, entry: Entry) -> bool:
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            return False
        fast = xxh3_128()
        with os.fdopen(open_unreadable(self._disk, path, stat.S_IMODE(status.st_mode)), "rb") as file:
            while chunk := file.read(1 << 20):
                fast.update(chunk)
        return fast.hexdigest() == entry.xxh3

    def _record(self, layer: Layer) -> bytes:
        return dumps({"version": 1, "diff_id": str(layer.diff_id), "boot_id": self._boot_id})

    def _make(
        self,
        session: Session,
        key: Digest,
        layer: Layer,
        below: Sequence[Digest],
        check: Callable[[], None] | None,
    ) -> None:
        entries = self._layers.entries(layer.diff_id, session)
        if not layer.has_complete_parents:
            entries = self._with_parents(entries, below)
        temporary = session.temporary()
        self._disk.mkdir(temporary)
        self._disk.mkdir(f"{temporary}/fs", 0o755)
        blob = self._blobs.open(layer.blob.digest)
        try:
            Unpacker(self._disk, f"{temporary}/fs", self._id_mode, check).layer(entries, blob)
        finally:
            os.close(blob)
        self._publish(session, temporary, key, layer)

    def _with_parents(self, entries: Sequence[Entry], below: Sequence[Digest]) -> list[Entry]:
        """Return the entries with the directories that they need and do not name, as the layers below have them."""
        tree = self._layers.tree(below)
        known = {entry.path for entry in entries if entry.kind != OPAQUE}
        added: dict[str, Entry] = {}
        kept = []
        for entry in entries:
            lower = tree.get(entry.path)
            if entry.kind == OPAQUE and entry.path not in known:
                if lower is None or lower.kind != DIRECTORY:
                    continue  # there is nothing to hide
                added[entry.path] = lower
            kept.append(entry)
            for directory in ancestors(entry.path):
                if directory not in known and directory not in added:
                    lower = tree.get(directory)
                    is_directory = lower is not None and lower.kind == DIRECTORY
                    added[directory] = lower if lower and is_directory else Entry(directory, DIRECTORY, 0o755)
        return [*added.values(), *kept]

    def _publish(self, session: Session, temporary: str, key: Digest, layer: Layer) -> None:
        write_new(self._disk, f"{temporary}/record.json", self._record(layer))
        with self._locks.shared_gc():
            self._disk.rename(temporary, self._layout.snapshot(key))

    def adopt(self, session: Session, layer: Layer, upper: str) -> None:
        """Make a directory the snapshot of ``layer``, of which it holds exactly the content, without copying it."""
        target = self._layout.snapshot(layer.diff_id)
        if os.path.exists(target):
            return
        temporary = session.temporary()
        self._disk.mkdir(temporary)
        self._disk.rename(upper, f"{temporary}/fs")
        with self._locks.key(layer.diff_id.hex, f"another minidock that unpacks layer {layer.diff_id.short}"):
            if not os.path.exists(target):
                self._publish(session, temporary, layer.diff_id, layer)

    def copy_of(self, diff_ids: Sequence[Digest], target: str) -> dict[str, tuple[int, int, int, int, int]]:
        """Write the merged tree into the new directory ``target``, where overlayfs cannot be used.

        Returns the fingerprints of what was written, by path: the baseline for finding changes.
        """
        tree = self._layers.tree(diff_ids)
        self._disk.mkdir(target, 0o755)
        unpacker = Unpacker(self._disk, target, self._id_mode)
        entries = tree.entries()
        first: dict[tuple[str, int], str] = {}
        with Contents(self._blobs, self._layers, diff_ids) as contents:
            for entry in entries:
                if entry.kind != FILE:
                    unpacker.make(entry, -1)
                    continue
                name = (entry.linkname or entry.path, contents.layer_of(entry))
                if name in first:
                    unpacker.link(entry._replace(linkname=first[name]))
                else:
                    first[name] = entry.path
                    unpacker.make(entry, contents.descriptor(entry))

        def marked(entry: Entry) -> tuple[int, int, int, int, int]:
            return fingerprint(os.lstat(f"{target}/{entry.path}"))

        baseline = {entry.path: marked(entry) for entry in entries if entry.kind != DIRECTORY}
        for entry in reversed(entries):  # a directory may be closed even to its owner, once it has its mode
            if entry.kind == DIRECTORY:
                unpacker.finish([entry])
                baseline[entry.path] = marked(entry)
        return baseline
