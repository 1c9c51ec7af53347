"""The last build of each target of each Dockerfile, and of the images that it was before: small documents.

They stand in ``cache/builds``, as many as are worth it.

Derived data: one that cannot be read is as if it were not there, and nothing but an explanation depends on it.
"""

from __future__ import annotations

import json
import os

from minidock.core.build_record import BuildRecord
from minidock.core.canonical import dumps
from minidock.core.digest import Digest
from minidock.errors import StoreError
from minidock.store.layout import Layout
from minidock.store.session import Session
from minidock.store.writer import Disk

_MOST_KEPT = 100
_MOST_EARLIER = 5  # images of one target, besides the last build of it


class Builds:
    """The build records of a store."""

    def __init__(self, layout: Layout, disk: Disk) -> None:
        self._directory = layout.path("cache", "builds")
        self._disk = disk

    def _path(self, scope: str) -> str:
        return f"{self._directory}/{Digest.sha256(scope.encode('utf-8', 'surrogateescape')).hex}"

    def put(self, session: Session, record: BuildRecord) -> None:
        """Store a record as the last one of its scope, and keep that before if it was of another image.

        The oldest go if there are too many.
        """
        if not os.path.isdir(self._directory):
            try:
                self._disk.mkdir(self._directory)
            except FileExistsError:
                pass  # another build was first
        self._keep_earlier(session, record)
        session.replace(self._path(record.scope), dumps(record.to_json()), is_durable=False)
        paths = self.paths()
        for path in paths[: max(len(paths) - _MOST_KEPT, 0)]:
            session.discard(path)

    def _keep_earlier(self, session: Session, record: BuildRecord) -> None:
        path, earlier = self._path(record.scope), self.get(record.scope)
        if record.image_id is not None and os.path.exists(own := f"{path}-{record.image_id.hex}"):
            session.discard(own)  # the last build of that image is this one
        if earlier is None or earlier.image_id is None or earlier.image_id == record.image_id:
            return
        try:
            self._disk.link(path, f"{path}-{earlier.image_id.hex}")
        except (FileExistsError, FileNotFoundError):
            return  # a build beside this one was first, or a prune
        kept = [other for other in self.paths() if other.startswith(f"{path}-")]
        for other in kept[:-_MOST_EARLIER]:
            session.discard(other)

    def get(self, scope: str) -> BuildRecord | None:
        """Return the last build of a scope, or None."""
        return _read(self._path(scope))

    def latest(self) -> tuple[BuildRecord, ...]:
        """Return every readable record, the newest first."""
        found = (_read(path) for path in reversed(self.paths()))
        return tuple(record for record in found if record is not None)

    def paths(self) -> list[str]:
        """Return where the records stand, the oldest first."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            path = f"{self._directory}/{name}"
            try:
                found.append((os.stat(path).st_mtime_ns, path))
            except FileNotFoundError:
                continue  # pruned meanwhile
        return [path for _, path in sorted(found)]


def _read(path: str) -> BuildRecord | None:
    try:
        with open(path, "rb") as file:
            return BuildRecord.from_json(json.load(file))
    except (FileNotFoundError, ValueError, StoreError):
        return None  # torn by a power cut, or of another version
