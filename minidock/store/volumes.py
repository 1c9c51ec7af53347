"""Volumes: directories that outlive containers. ``volumes/NAME/_data`` is what containers see."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.times import format_time, parse_time
from minidock.errors import MinidockError, NoSuchVolume
from minidock.store.layout import Layout
from minidock.store.locks import Locks
from minidock.store.session import Session
from minidock.store.writer import Disk, write_new


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume; ``is_used`` once a container had it mounted: from then on nothing is copied into it.

    One with driver ``options`` is not a directory of the store: nothing is ever copied into it.
    """

    name: str
    created: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    is_anonymous: bool = False
    is_used: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the members of volume.json."""
        return {
            "version": 1,
            "name": self.name,
            "created": format_time(self.created),
            "labels": dict(self.labels),
            "anonymous": self.is_anonymous,
            "used": self.is_used,
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Volume:
        """Return the record read from JSON. Raises: KeyError, TypeError, ValueError, StoreError."""
        created, labels, options = parse_time(members["created"]), members["labels"], members.get("options", {})
        return cls(members["name"], created, labels, bool(members["anonymous"]), bool(members["used"]), options)


class Volumes:
    """The volumes of a store."""

    def __init__(self, layout: Layout, disk: Disk, locks: Locks) -> None:
        self._layout = layout
        self._disk = disk
        self._locks = locks

    def data(self, name: str) -> str:
        """Return the directory that containers see."""
        return self._layout.path("volumes", name, "_data")

    def list(self) -> list[Volume]:
        """Return all volumes, by name."""
        try:
            names = sorted(os.listdir(self._layout.path("volumes")))
        except FileNotFoundError:
            return []
        found = (self._read(name) for name in names)
        return [volume for volume in found if volume is not None]

    def find(self, name: str) -> Volume:
        """Return the volume with this name. Raises: NoSuchVolume."""
        volume = self._read(name) if name and "/" not in name else None
        if volume is None:
            raise NoSuchVolume(name)
        return volume

    def create(self, session: Session, volume: Volume, fill: Callable[[str], None] | None = None) -> Volume:
        """Make a volume and return ``volume`` itself, or else the one that has the name.

        ``fill`` puts content into a new one's directory.

        An old volume that is empty and was never used is filled as well if ``volume.is_used``.
        """
        present = self._read(volume.name)
        if present is not None and (present.is_used or present.options or not volume.is_used):
            return present
        directory = session.temporary()
        self._disk.mkdir(directory)
        self._disk.mkdir(f"{directory}/_data", 0o755)
        if fill is not None and volume.is_used and not volume.options:
            fill(f"{directory}/_data")
        write_new(self._disk, f"{directory}/volume.json", dumps(volume.to_json()))
        with self._locks.names():
            present = self._read(volume.name)
            if present is None:
                self._disk.rename(directory, self._layout.path("volumes", volume.name))
                self._disk.sync_directory(self._layout.path("volumes"))
                return volume
            if present.is_used or not volume.is_used:
                return present
            if not os.listdir(self.data(volume.name)):
                self._disk.rename(f"{directory}/_data", self.data(volume.name))  # replaces an empty directory
            used = replace(present, is_used=True)
            session.replace(self._layout.path("volumes", volume.name, "volume.json"), dumps(used.to_json()))
            return used

    def discard(self, session: Session, name: str) -> None:
        """Remove a volume with everything in it, whoever uses it: at once out of sight, by the session's end for good.

        Call it while holding `Locks.names`, after looking for containers that use it.
        """
        try:
            self._disk.rename(self._layout.path("volumes", name), session.temporary())
        except FileNotFoundError:
            return

    def _read(self, name: str) -> Volume | None:
        try:
            with open(self._layout.path("volumes", name, "volume.json"), "rb") as file:
                return Volume.from_json(json.load(file))
        except (OSError, KeyError, TypeError, ValueError, MinidockError):
            return None
