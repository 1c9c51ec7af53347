"""A store on disk: opened once by a command, its parts as attributes."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from minidock.core.canonical import dumps
from minidock.core.id_mode import IdMode
from minidock.errors import StoreError, StoreForeign, StoreUnwritable
from minidock.store.layout import DIRECTORIES, VERSION, Layout
from minidock.store.locks import Locks, Waiting
from minidock.store.writer import Disk, explained, remove_tree, write_new

if TYPE_CHECKING:
    from minidock.store.blobs import Blobs
    from minidock.store.builds import Builds
    from minidock.store.cache import Cache
    from minidock.store.cache_mounts import CacheMounts
    from minidock.store.containers import Containers
    from minidock.store.forms import Forms
    from minidock.store.images import Images
    from minidock.store.known import Known
    from minidock.store.layers import Layers
    from minidock.store.networks import Networks
    from minidock.store.partial import Partials
    from minidock.store.session import Session
    from minidock.store.snapshots import Snapshots
    from minidock.store.volumes import Volumes

_OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_EMPTY_INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
_RESERVE = 64 << 10


_ELSEWHERE = "choose another with --root or MINIDOCK_ROOT"


class Identity(NamedTuple):
    """Whose a store is, and what owns its files."""

    version: int
    uid: int
    id_mode: IdMode
    id_maps: str  # of the user namespace, if there is one with ranges of ids


def read_identity(layout: Layout) -> Identity | None:
    """Return what a store says of itself, None where there is none. Raises: StoreError, PermissionError."""
    try:
        with open(layout.identity, "rb") as file:
            members = json.load(file)
        mode, maps = IdMode(members["id_mode"]), str(members.get("id_maps", ""))
        return Identity(int(members["version"]), int(members["uid"]), mode, maps)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{layout.identity} cannot be read: is this a minidock store?") from error


def check_mode(root: str, identity: Identity, wanted: IdMode) -> None:
    """Make sure that a store is one of this id mode. Raises: StoreForeign."""
    if identity.id_mode is not wanted:
        raise StoreForeign(
            f"{root} is a store for id mode {identity.id_mode}, this process works in {wanted}",
            hint=f"set MINIDOCK_ID_MODE={identity.id_mode}, or choose another store with --root or MINIDOCK_ROOT",
        )


class Store:
    """The store at ``root``, of user ``uid`` in ``id_mode``. Opening changes nothing; `session` makes it if missing.

    ``id_maps`` says which ids of the host its files have, if those are not the ids of their owners.
    """

    def __init__(
        self,
        root: str,
        *,
        uid: int,
        id_mode: IdMode,
        id_maps: str = "",
        boot_id: str,
        disk: Disk | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self.layout = Layout(root.rstrip("/") or "/")
        self.disk = disk or Disk()
        self.uid = uid
        self.id_mode = id_mode
        self._id_maps = id_maps
        self.boot_id = boot_id
        self.locks = Locks(self.layout, self.disk, waiting)
        self._check_identity()

    # The parts are imported when they are first used: to list images takes two of them, and a tenth of the time.

    @cached_property
    def blobs(self) -> Blobs:
        """Content by digest."""
        from minidock.store.blobs import Blobs

        return Blobs(self.layout, self.disk)

    @cached_property
    def known(self) -> Known:
        """What documents among the blobs say."""
        from minidock.store.known import Known

        return Known(self.blobs)

    @cached_property
    def partials(self) -> Partials:
        """Downloads that were broken off."""
        from minidock.store.partial import Partials

        return Partials(self.layout, self.disk)

    @cached_property
    def layers(self) -> Layers:
        """Layers and their entry indexes."""
        from minidock.store.layers import Layers

        return Layers(self.layout, self.disk, self.blobs)

    @cached_property
    def forms(self) -> Forms:
        """Layers as they are packed elsewhere."""
        from minidock.store.forms import Forms

        return Forms(self.layout)

    @cached_property
    def images(self) -> Images:
        """The names of images."""
        from minidock.store.images import Images

        return Images(self.layout, self.locks)

    @cached_property
    def cache(self) -> Cache:
        """The records of the build cache."""
        from minidock.store.cache import Cache

        return Cache(self.layout, self.disk)

    @cached_property
    def builds(self) -> Builds:
        """What became of the steps of the last builds."""
        from minidock.store.builds import Builds

        return Builds(self.layout, self.disk)

    @cached_property
    def cache_mounts(self) -> CacheMounts:
        """Cache mounts of build steps."""
        from minidock.store.cache_mounts import CacheMounts

        return CacheMounts(self.layout, self.disk, self.locks)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Unpacked layers."""
        from minidock.store.snapshots import Snapshots

        return Snapshots(self.layout, self.disk, self.locks, self.blobs, self.layers, self.id_mode, self.boot_id)

    @cached_property
    def containers(self) -> Containers:
        """Containers, running or not."""
        from minidock.store.containers import Containers

        return Containers(self.layout, self.disk, self.locks, self.boot_id)

    @cached_property
    def volumes(self) -> Volumes:
        """Directories that outlive containers."""
        from minidock.store.volumes import Volumes

        return Volumes(self.layout, self.disk, self.locks)

    @cached_property
    def networks(self) -> Networks:
        """Networks of containers."""
        from minidock.store.networks import Networks

        return Networks(self.layout, self.disk)

    def record_event(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """Add an event to the record that `events` shows: ``kind`` is ``container``, ``image`` and the like.

        Nothing happens where there is no store.
        """
        from minidock.store.event_log import append

        append(self.disk, self.layout.root, kind, action, actor, attributes)

    @property
    def exists(self) -> bool:
        """Whether there is a store at the root yet."""
        return os.path.exists(self.layout.identity)

    def _check_identity(self) -> None:
        try:
            found = read_identity(self.layout)
        except PermissionError as error:
            raise StoreForeign(f"{self.layout.root} is the store of another user", hint=_ELSEWHERE) from error
        if found is None:
            return
        if found.version > VERSION:
            raise StoreForeign(
                f"{self.layout.root} was written by a newer minidock "
                f"(store version {found.version}, this one knows {VERSION})"
            )
        if found.uid != self.uid:
            raise StoreForeign(
                f"{self.layout.root} is the store of uid {found.uid}, you are uid {self.uid}", hint=_ELSEWHERE
            )
        check_mode(self.layout.root, found, self.id_mode)
        if self._id_maps and found.id_maps and self._id_maps != found.id_maps:
            raise StoreForeign(
                f"the files in {self.layout.root} have other ids ({found.id_maps}) than this process ({self._id_maps})",
                hint="leave that user namespace, or choose another store with --root or MINIDOCK_ROOT",
            )

    @contextmanager
    def session(self, *, is_removal: bool = False) -> Iterator[Session]:
        """Begin to write: make the store if it is missing, tidy up after sessions that died, hold a lease.

        One for removing works on a full disk too: it gives up the reserve, which the next other session makes again.
        """
        with explained(self.layout.root):
            session, dead = self._begin(is_removal=is_removal)
            has_failed = True
            try:
                if dead:
                    from minidock.store import collector

                    session.tidied_size += collector.collect(self, session).size
                    session.forget(dead)
                yield session
                has_failed = False
            finally:
                session.close(has_failed=has_failed)

    def _begin(self, *, is_removal: bool) -> tuple[Session, list[str]]:
        """Return a new session, and the leases of dead ones whose rubbish is still to be collected."""
        self._create()
        if not is_removal:
            self._keep_reserve()
        from minidock.store import session as sessions

        dead: list[str] = []
        size = 0
        if sessions.abandoned(self.layout):
            dead, size = sessions.sweep(self.layout, self.disk, self.locks)
        try:
            session = sessions.Session(self.layout, self.disk, self.locks)
        except OSError as error:
            if not is_removal or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.free_reserve()
            session = sessions.Session(self.layout, self.disk, self.locks)
        session.tidied_size = size
        return session, dead

    def _keep_reserve(self) -> None:
        try:
            self._make_file(self.layout.path("reserve"), bytes(_RESERVE))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise  # else: not the moment for it; what needs the space more says so itself

    def _create(self) -> None:
        root = self.layout.root
        if self.exists and all(
            os.path.isdir(self.layout.path(name)) for name in ("tmp", "trash", "locks/lease", "forms")
        ):
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
        identity: dict[str, int | str] = {"version": VERSION, "uid": self.uid, "id_mode": self.id_mode.value}
        if self._id_maps:
            identity["id_maps"] = self._id_maps
        self._make_file(self.layout.identity, dumps(identity))

    def _make_directory(self, path: str) -> None:
        try:
            self.disk.mkdir(path)
        except FileExistsError:
            pass

    def _make_file(self, path: str, data: bytes) -> None:
        # Two processes may make the store at once: each writes its own file, one of the equal ones gets the name.
        # A third that is further may take the temporary file for rubbish: then the next attempt makes it.
        while not os.path.exists(path):
            temporary = self.layout.path("tmp", f"new-{os.urandom(6).hex()}")
            try:
                write_new(self.disk, temporary, data)
                self.disk.link(temporary, path)
            except FileExistsError:
                pass
            except FileNotFoundError:
                continue
            finally:
                remove_tree(self.disk, temporary)
            self.disk.sync_directory(self.layout.root)

    def free_reserve(self) -> None:
        """Give up the reserve, so that a removal can work on a full disk; the next session that can makes it again."""
        try:
            self.disk.unlink(self.layout.path("reserve"))
        except FileNotFoundError:
            return


_OWN_FILES = {"oci-layout", "index.json", "minidock.json", "reserve", "events", "events.1"}
