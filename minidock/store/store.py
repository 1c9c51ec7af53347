"""A store on disk: opened once by a command, its parts as attributes."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.core.canonical import dumps
from minidock.core.process import IdMode
from minidock.errors import StoreError, StoreForeign, StoreUnwritable
from minidock.store import session as sessions
from minidock.store.blobs import Blobs
from minidock.store.cache import Cache
from minidock.store.images import Images
from minidock.store.layers import Layers
from minidock.store.layout import DIRECTORIES, VERSION, Layout
from minidock.store.locks import Locks, Waiting
from minidock.store.session import Session
from minidock.store.snapshots import Snapshots
from minidock.store.writer import Disk, explained

_OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_EMPTY_INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
_RESERVE = 64 << 10


class Store:
    """The store at ``root``, of user ``uid`` in ``id_mode``. Opening it changes nothing; `session` makes it if missing."""

    def __init__(
        self,
        root: str,
        *,
        uid: int,
        id_mode: IdMode,
        boot_id: str,
        disk: Disk | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self.layout = Layout(root.rstrip("/") or "/")
        self.disk = disk or Disk()
        self.uid = uid
        self.id_mode = id_mode
        self.boot_id = boot_id
        self.locks = Locks(self.layout, self.disk, waiting)
        self.blobs = Blobs(self.layout, self.disk)
        self.layers = Layers(self.layout, self.disk, self.blobs)
        self.images = Images(self.layout, self.locks)
        self.cache = Cache(self.layout, self.disk)
        self.snapshots = Snapshots(self.layout, self.disk, self.locks, self.blobs, self.layers, id_mode, boot_id)
        self._check_identity()

    @property
    def exists(self) -> bool:
        """Whether there is a store at the root yet."""
        return os.path.exists(self.layout.identity)

    def _check_identity(self) -> None:
        try:
            with open(self.layout.identity, "rb") as file:
                identity = json.load(file)
            version, uid, mode = int(identity["version"]), int(identity["uid"]), IdMode(identity["id_mode"])
        except FileNotFoundError:
            return
        except PermissionError as error:
            raise StoreForeign(
                f"{self.layout.root} is the store of another user", hint="choose another with --root or MINIDOCK_ROOT"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.layout.identity} cannot be read: is this a minidock store?") from error
        if version > VERSION:
            raise StoreForeign(
                f"{self.layout.root} was written by a newer minidock (store version {version}, this one knows {VERSION})"
            )
        if uid != self.uid:
            raise StoreForeign(
                f"{self.layout.root} is the store of uid {uid}, you are uid {self.uid}",
                hint="choose another with --root or MINIDOCK_ROOT",
            )
        if mode is not self.id_mode:
            raise StoreForeign(
                f"{self.layout.root} is a store for id mode {mode}, this process works in {self.id_mode}"
            )

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Begin to write: make the store if it is missing, sweep what dead processes left, hold a lease."""
        with explained(self.layout.root):
            self._create()
            if sessions.abandoned(self.layout):
                sessions.sweep(self.layout, self.disk, self.locks)
            session = Session(self.layout, self.disk, self.locks)
            try:
                yield session
            finally:
                session.close()

    def _create(self) -> None:
        root = self.layout.root
        if self.exists and all(os.path.isdir(self.layout.path(name)) for name in ("tmp", "trash", "locks/lease")):
            return
        if os.path.isdir(root) and not self.exists:
            strangers = set(os.listdir(root)) - {name.split("/")[0] for name in DIRECTORIES} - _OWN_FILES
            if strangers:
                raise StoreUnwritable(
                    f"{root} is not empty and not a minidock store (it holds {min(strangers)})",
                    hint="choose another directory with --root or MINIDOCK_ROOT",
                )
        os.makedirs(root, 0o700, exist_ok=True)
        for name in DIRECTORIES:
            self._make_directory(self.layout.path(name))
        self._make_file(self.layout.oci_layout, _OCI_LAYOUT)
        self._make_file(self.layout.index, _EMPTY_INDEX)
        self._make_file(self.layout.path("reserve"), bytes(_RESERVE))
        identity = {"version": VERSION, "uid": self.uid, "id_mode": self.id_mode.value}
        self._make_file(self.layout.identity, dumps(identity))

    def _make_directory(self, path: str) -> None:
        try:
            self.disk.mkdir(path)
        except FileExistsError:
            pass

    def _make_file(self, path: str, data: bytes) -> None:
        # Two processes may make the store at once: each writes its own file, one of the equal ones gets the name.
        if os.path.exists(path):
            return
        temporary = self.layout.path("tmp", f"new-{secrets.token_hex(6)}")
        fd = self.disk.open_new(temporary)
        try:
            self.disk.write(fd, data)
            self.disk.sync(fd)
        finally:
            os.close(fd)
        try:
            self.disk.link(temporary, path)
        except FileExistsError:
            pass
        self.disk.unlink(temporary)
        self.disk.sync_directory(self.layout.root)

    def free_reserve(self) -> None:
        """Give up the reserve, so that a removal can work on a full disk; the next session that can makes it again."""
        try:
            self.disk.unlink(self.layout.path("reserve"))
        except FileNotFoundError:
            return


_OWN_FILES = {"oci-layout", "index.json", "minidock.json", "reserve"}
