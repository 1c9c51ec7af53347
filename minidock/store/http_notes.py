"""What servers said of files that were fetched by URL, so that an unchanged file is not fetched again.

Derived data: a note that cannot be read costs one download.
"""

from __future__ import annotations

import json

from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.store.layout import Layout
from minidock.store.session import Session

_VERSION = 1


@dataclass(frozen=True, slots=True)
class HttpNote:
    """The file at a URL: its ``etag`` (never empty), its ``last_modified`` as written, its content's sha256."""

    etag: str
    last_modified: str
    sha256: str


class HttpNotes:
    """The notes of a store; a URL with its password names a file of its own."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def _path(self, url: str) -> str:
        return self._layout.path("cache", "stat", Digest.sha256(f"url {url}".encode("utf-8", "surrogateescape")).hex)

    def get(self, url: str) -> HttpNote | None:
        """Return what is known of ``url``, None if nothing is."""
        try:
            with open(self._path(url), "rb") as file:
                members = json.load(file)
            if members["version"] != _VERSION:
                return None
            return HttpNote(str(members["etag"]), str(members["last_modified"]), Digest(members["sha256"]).hex)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return None  # torn or foreign: it is made again

    def put(self, session: Session, url: str, note: HttpNote) -> None:
        """Remember what a server said."""
        members = {
            "version": _VERSION,
            "etag": note.etag,
            "last_modified": note.last_modified,
            "sha256": note.sha256,
        }
        session.replace(self._path(url), dumps(members), is_durable=False)
