"""The build cache's index: one record for each cache key, the last records of each step, and lists of inputs.

Derived data: a record that cannot be read is a miss, never an error and never a wrong hit. A record that names a layer
which is gone is a miss too. A use is marked by one newline appended behind the record (and so by its time of change):
no record is ever edited.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from xxhash import xxh3_128

from minidock.core.cache_key import RecordedInputs, StepInputs
from minidock.core.canonical import dumps
from minidock.core.digest import Digest
from minidock.errors import InvalidDigest, StoreError
from minidock.store.layout import Layout
from minidock.store.session import Session
from minidock.store.writer import Disk

_VERSION = 1
_KEPT_PER_STEP = 3
_HEX = re.compile(r"[0-9a-f]{64}")


class Record(NamedTuple):
    """The remembered result of one key.

    A layer record (``diff_id`` set) says which layer a step made; an image record (``image_id`` set) which image
    config one step made of another, whose ID is ``parent`` (None if there was none; known of records that were read).
    ``created`` is RFC 3339: a wholly cached build repeats it. ``step`` names the place in a Dockerfile that the record
    was made for; ``size`` is the layer's content in bytes.
    """

    key: Digest
    step: str
    created: str
    diff_id: Digest | None = None
    image_id: Digest | None = None
    size: int = 0
    description: str = ""
    files: Digest | None = None
    usage_count: int = 0
    last_used: float = 0.0
    parent: Digest | None = None

    def is_held_by(self, pinned: AbstractSet[str]) -> bool:
        """Whether its layer or its image is among the digests (hex) that living sessions hold."""
        return bool(pinned) and any(
            digest is not None and digest.hex in pinned for digest in (self.diff_id, self.image_id)
        )


class Cache:
    """The records of a store."""

    def __init__(self, layout: Layout, disk: Disk) -> None:
        self._layout = layout
        self._disk = disk

    def _step_path(self, key: Digest) -> str:
        return self._layout.path("cache", "steps", key.hex)

    def _recent_path(self, step: str) -> str:
        return self._layout.path("cache", "recent", Digest.sha256(step.encode("utf-8", "surrogateescape")).hex)

    def _inputs_path(self, files: Digest) -> str:
        return self._layout.path("cache", "inputs", files.hex)

    def get(self, key: Digest) -> Record | None:
        """Return the record of a key, or None."""
        found = self._load(key)
        return found[0] if found else None

    def _load(self, key: Digest) -> tuple[Record, dict[str, Any]] | None:
        try:
            fd = os.open(self._step_path(key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(fd)
            data = os.read(fd, status.st_size + 1)
            if len(data) != status.st_size:  # it has grown, or a file system hands out less at once than it has
                data += b"".join(iter(lambda: os.read(fd, 4096), b""))
        finally:
            os.close(fd)
        check, _, rest = data.partition(b"\n")
        body, end, marks = rest.partition(b"\n")
        body, uses, changed = body + end, len(marks), status.st_mtime
        if xxh3_128(body).hexdigest().encode() != check:
            return None
        try:
            members = json.loads(body)
            if members["version"] != _VERSION or members["key"] != str(key):
                return None
            record = Record(
                key=key,
                step=members["step"],
                created=members["created"],
                diff_id=_digest(members["diff_id"]),
                image_id=_digest(members["image_id"]),
                size=int(members["size"]),
                description=members["description"],
                files=_digest(members["files"]),
                usage_count=uses,
                last_used=changed,
                parent=_parent(members["inputs"]["parent"]) if members["image_id"] else None,
            )
        except (ValueError, KeyError, TypeError, InvalidDigest):
            return None
        return record, members["inputs"]

    def put(self, session: Session, record: Record, inputs: StepInputs) -> None:
        """Store a record with its inputs, and make it the newest of its step."""
        if inputs.files:
            record = record._replace(files=self._put_files(session, inputs))
        members = {
            "version": _VERSION,
            "key": str(record.key),
            "step": record.step,
            "created": record.created,
            "diff_id": record.diff_id and str(record.diff_id),
            "image_id": record.image_id and str(record.image_id),
            "size": record.size,
            "description": record.description,
            "files": record.files and str(record.files),
            "inputs": inputs.to_json(),
        }
        body = dumps(members) + b"\n"
        check = xxh3_128(body).hexdigest().encode() + b"\n"
        session.replace(self._step_path(record.key), check + body)
        self._remember(session, record)

    def _put_files(self, session: Session, inputs: StepInputs) -> Digest:
        data = dumps(inputs.recorded_files())
        digest = Digest.sha256(data)
        path = self._inputs_path(digest)
        if not os.path.exists(path):
            session.replace(path, zlib.compress(data, 6), is_durable=False)
        return digest

    def _remember(self, session: Session, record: Record) -> None:
        keys = [str(key) for key in self._recent(record.step) if key != record.key]
        kept = [str(record.key), *keys][:_KEPT_PER_STEP]
        body = dumps({"step": record.step, "keys": kept})
        session.replace(self._recent_path(record.step), body, is_durable=False)

    def _recent(self, step: str) -> list[Digest]:
        try:
            with open(self._recent_path(step), "rb") as file:
                return [Digest.parse(text) for text in json.load(file)["keys"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError, InvalidDigest):
            return []  # a torn write after a power cut: nothing depends on it but an explanation

    def last_inputs(self, step: str) -> RecordedInputs | None:
        """Return the inputs of the newest record of a step, or None if it never ran here."""
        for key in self._recent(step):
            found = self._load(key)
            if found is None:
                continue
            record, members = found
            try:
                return RecordedInputs.from_json(members, self._files(record.files))
            except StoreError:
                continue
        return None

    def _files(self, digest: Digest | None) -> list[list[Any]] | None:
        if digest is None:
            return []
        try:
            with open(self._inputs_path(digest), "rb") as file:
                data = zlib.decompress(file.read())
        except (FileNotFoundError, zlib.error):
            return None
        if Digest.sha256(data) != digest:
            return None
        rows: list[list[Any]] = json.loads(data)
        return rows

    def mark_used(self, key: Digest) -> None:
        """Count one more use of a record. Not worth failing for: a full disk only loses the count."""
        try:
            fd = os.open(self._step_path(key), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            return
        try:
            self._disk.write(fd, b"\n")
        except OSError:
            return
        finally:
            os.close(fd)

    def records(self) -> list[Record]:
        """Return every readable record, sorted by key."""
        found = (self.get(Digest(name)) for name in self._names("steps") if _HEX.fullmatch(name))
        return [record for record in found if record is not None]

    def record_path(self, record: Record) -> str:
        """Return where a record stands."""
        return self._step_path(record.key)

    def unused_lists(self, records: Sequence[Record]) -> list[str]:
        """Return the paths of lists of inputs and of recent keys that none of ``records`` uses."""
        lists = {record.files.hex for record in records if record.files}
        steps = {os.path.basename(self._recent_path(record.step)) for record in records}
        return [
            self._layout.path("cache", directory, name)
            for directory, kept in (("recent", steps), ("inputs", lists))
            for name in self._names(directory)
            if name not in kept
        ]

    def derived_paths(self, records: Sequence[Record]) -> list[str]:
        """Return the paths of what is known about contexts, and of records that cannot be read: not ``records``."""
        readable = {record.key.hex for record in records}
        paths = [self._layout.path("cache", "steps", name) for name in self._names("steps") if name not in readable]
        return paths + [self._layout.path("cache", "stat", name) for name in self._names("stat")]

    def _names(self, directory: str) -> list[str]:
        try:
            return sorted(os.listdir(self._layout.path("cache", directory)))
        except FileNotFoundError:
            return []


def _parent(text: str) -> Digest | None:
    return Digest.parse(text) if text.startswith("sha256:") else None


def _digest(text: Any) -> Digest | None:
    return None if text is None else Digest.parse(text)
