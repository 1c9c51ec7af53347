"""What is known about the files of one build context, so that unchanged files are not opened again.

A file is unchanged when device, inode, size, mode and both times are as recorded *and* the recording did not happen
within the clock's granularity of the last change (git calls that "racily clean"): such files are not recorded at all.
Only file systems known to keep ctime are trusted. A record that is lost or torn costs one reading of the files.
"""

from __future__ import annotations

import json
import os

from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.store.layout import Layout
from minidock.store.session import Session

_TRUSTED = frozenset({"ext4", "ext3", "ext2", "xfs", "btrfs", "tmpfs", "f2fs"})
_FINE = 100_000_000  # more than a kernel tick, in ns
_COARSE = 2_000_000_000  # where times are whole seconds

# inode, size, mode, mtime_ns, ctime_ns, sha256, xxh3
Row = tuple[int, int, int, int, int, str, str]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The digests of a file's content."""

    sha256: str
    xxh3: str


class StatCache:
    """The known files of the context at ``root``; `save` writes what was learned."""

    def __init__(self, layout: Layout, root: str, *, is_enabled: bool = True) -> None:
        device = os.stat(root).st_dev
        self._device = device
        self._is_enabled = is_enabled and keeps_ctime(device)
        name = Digest.sha256(os.path.realpath(root).encode("utf-8", "surrogateescape")).hex
        self._path = layout.path("cache", "stat", name)
        self._rows: dict[str, Row] = self._load() if self._is_enabled else {}
        self._is_changed = False

    def _load(self) -> dict[str, Row]:
        try:
            with open(self._path, "rb") as file:
                members = json.load(file)
            if members["version"] != 1 or members["device"] != self._device:
                return {}
            rows: dict[str, Row] = members["files"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError):
            return {}
        return rows

    def known(self, path: str, status: os.stat_result) -> Fingerprint | None:
        """Return the digests of a file that has not changed since they were recorded."""
        row = self._rows.get(path)
        if row is None or status.st_dev != self._device:
            return None
        if (
            row[0] != status.st_ino
            or row[1] != status.st_size
            or row[2] != status.st_mode
            or row[3] != status.st_mtime_ns
            or row[4] != status.st_ctime_ns
        ):
            return None
        return Fingerprint(row[5], row[6])

    def earlier(self, path: str, status: os.stat_result) -> Fingerprint | None:
        """Return digests recorded for this path and size, to be compared by xxh3 with what it holds now."""
        row = self._rows.get(path)
        return Fingerprint(row[5], row[6]) if row is not None and row[1] == status.st_size else None

    def record(self, path: str, status: os.stat_result, found: Fingerprint, read_at: int) -> None:
        """Remember the digests of a file read at ``read_at`` (ns), unless it changed just before."""
        if not self._is_enabled or status.st_dev != self._device:
            return
        latest = max(status.st_mtime_ns, status.st_ctime_ns)
        granularity = _FINE if status.st_ctime_ns % 1_000_000_000 else _COARSE
        if read_at - latest <= granularity:
            self._rows.pop(path, None)
            return
        self._rows[path] = (
            status.st_ino,
            status.st_size,
            status.st_mode,
            status.st_mtime_ns,
            status.st_ctime_ns,
            found.sha256,
            found.xxh3,
        )
        self._is_changed = True

    def forget(self, path: str) -> None:
        """Forget a file whose record turned out to be wrong."""
        if self._rows.pop(path, None) is not None:
            self._is_changed = True

    def save(self, session: Session) -> None:
        """Write what was learned, if anything."""
        if self._is_changed:
            body = dumps({"version": 1, "device": self._device, "files": self._rows})
            session.replace(self._path, body, is_durable=False)
            self._is_changed = False


def keeps_ctime(device: int) -> bool:
    """Whether the file system of ``device`` is known to note every change of a file in its ctime."""
    return file_system(device) in _TRUSTED


def file_system(device: int) -> str:
    """Return the type of the file system with a device number (``ext4``), ``unknown`` if nobody says."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            fields, _, rest = line.partition(" - ")
            if fields.split(" ")[2] == wanted:
                return rest.split(" ", 1)[0]
    return "unknown"
