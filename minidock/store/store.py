"""A store on disk: opened once by a command, its parts as attributes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from minidock.core.id_mode import IdMode
from minidock.store.identity import Identity, check_identity
from minidock.store.layout import VERSION, Layout
from minidock.store.locks import Locks, Waiting
from minidock.store.writer import Disk, explained

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
        check_identity(self.layout, uid=uid, id_mode=id_mode, id_maps=id_maps)

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
        from minidock.store import session as sessions
        from minidock.store.making import Making

        making = Making(self.layout, self.disk)
        making.make(Identity(VERSION, self.uid, self.id_mode, self._id_maps))
        if not is_removal:
            making.keep_reserve()
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

    def free_reserve(self) -> None:
        """Give up the reserve, so that a removal can work on a full disk; the next session that can makes it again."""
        try:
            self.disk.unlink(self.layout.path("reserve"))
        except FileNotFoundError:
            return
