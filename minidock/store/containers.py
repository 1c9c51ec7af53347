"""Containers on disk: what each was made from (never changed), what it is doing, and who watches over it.

::

    containers/ID/config.json   the `ContainerRecord`, replaced whole (rename, update)
                  state.json    the `RunState`, replaced whole; missing before the first start
                  health.json   what the last health checks found
                  lock          flock held by the container's monitor for as long as that lives
                  attach        the monitor's socket
                  stopped       an empty file: somebody has ended it, it is not to be started again by itself
                  oom-killed    an empty file: the kernel had to end something of it for want of memory
                  upper/ work/  what the container wrote, and overlayfs's own; without overlay upper/ is a whole copy
                  baseline      fingerprints of the files of such a copy when it was made
                  log           what it printed (`container_log`)

The lock decides what is true: "running" in a state whose lock is free means that the monitor was killed or the machine
restarted, and the container with it. A removal first says so durably; whoever writes next finishes what it finds.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from minidock.core.canonical import dumps
from minidock.core.config import chain_ids
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.health import Health
from minidock.core.summary import ContainerState
from minidock.errors import MinidockError, NameConflict, NoSuchContainer, StoreError
from minidock.store.container_record import ContainerRecord, RunState
from minidock.store.layout import Layout
from minidock.store.locks import Locks, open_lock, try_lock
from minidock.store.session import Session
from minidock.store.writer import Disk, write_new

KILLED, LOST_AT_REBOOT = 137, 255
_LIVE = (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it is now; ``is_watched`` if its monitor lives (it runs, or is about to)."""

    record: ContainerRecord
    state: RunState
    is_watched: bool

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self.record.id

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self.state.status is ContainerState.RUNNING

    @property
    def is_paused(self) -> bool:
        """Whether its process has been halted."""
        return self.state.status is ContainerState.PAUSED

    @property
    def has_process(self) -> bool:
        """Whether there is a process, be it halted."""
        return self.is_running or self.is_paused

    @property
    def is_live(self) -> bool:
        """Whether it runs, is paused, or is about to be started again: what lists show by default."""
        return self.state.status in _LIVE


class Containers:
    """The containers of a store."""

    def __init__(self, layout: Layout, disk: Disk, locks: Locks, boot_id: str) -> None:
        self._layout = layout
        self._disk = disk
        self._locks = locks
        self._boot_id = boot_id

    def path(self, container_id: str, *parts: str) -> str:
        """Return the path of something in a container's directory."""
        return self._layout.path("containers", container_id, *parts)

    def create(self, session: Session, record: ContainerRecord, fill: Callable[[str], None]) -> int:
        """Make a container, whole or not at all; ``fill`` puts upper, work and the like into the directory it gets.

        Returns the locked lock file: the caller is the container's monitor, or hands it on. Raises: NameConflict.
        """
        directory = session.temporary()
        self._disk.mkdir(directory)
        fill(directory)
        write_new(self._disk, f"{directory}/config.json", dumps(record.to_json()))
        lock = open_lock(f"{directory}/lock")
        try:
            try_lock(lock)  # nobody else can know of it yet
            with self._locks.names():
                self._check_name(record)
                with self._locks.shared_gc():
                    self._disk.rename(directory, self.path(record.id))
                self._disk.sync_directory(self._layout.path("containers"))
        except BaseException:
            os.close(lock)
            raise
        return lock

    def list(self) -> list[Container]:
        """Return all containers, newest first, but for those without a record that can be read."""
        found = [self._observed(record) for record in self._records()]
        found.sort(key=lambda container: (container.record.created, container.id), reverse=True)
        return found

    def find(self, text: str) -> Container:
        """Return the container with this name, ID or beginning of an ID. Raises: NoSuchContainer."""
        wanted = text.removeprefix("/")
        present = [container for container in self.list() if container.state.status is not ContainerState.REMOVING]
        for container in present:
            if wanted in (container.id, container.record.name):
                return container
        found = [container for container in present if wanted and container.id.startswith(wanted)]
        if not found:
            raise NoSuchContainer(text)
        if len(found) > 1:
            raise MinidockError(f"Multiple IDs found with provided prefix: {text}")
        return found[0]

    def get(self, container_id: str) -> Container:
        """Return a container by its whole ID. Raises: NoSuchContainer if it is gone."""
        record = self._record(container_id)
        if record is None:
            raise NoSuchContainer(container_id)
        return self._observed(record)

    def write_state(self, container_id: str, state: RunState, *, is_durable: bool = False) -> None:
        """Replace the state, whole or not at all. Raises: NoSuchContainer if the container is gone.

        Not durable by default: what is lost with the power is the container's process as well.
        """
        self._replace(container_id, "state.json", dumps(state.to_json()), is_durable=is_durable)

    def is_watched(self, container_id: str) -> bool:
        """Whether the container's monitor lives."""
        try:
            fd = os.open(self.path(container_id, "lock"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared: two that ask at once must not take each other for the monitor.
            return not try_lock(fd, exclusive=False)
        finally:
            os.close(fd)

    def wait_for_end(self, container_id: str) -> None:
        """Return once the container's monitor has gone: the kernel wakes whoever waits for its lock."""
        try:
            fd = os.open(self.path(container_id, "lock"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)  # shared: others wait too
        finally:
            os.close(fd)

    def claim(self, container_id: str) -> int | None:
        """Return the locked lock file of a container, whose monitor the caller becomes; None if it has one.

        Raises: NoSuchContainer if it is gone or being removed.
        """
        with self._locks.names():
            if self._record(container_id) is None or self._state(container_id).status is ContainerState.REMOVING:
                raise NoSuchContainer(container_id)
            lock = open_lock(self.path(container_id, "lock"))
            try:
                is_ours = try_lock(lock)
            except BaseException:
                os.close(lock)
                raise
            if is_ours:
                return lock
            os.close(lock)
            return None

    def mend(self, container: Container, moment: datetime) -> RunState | None:
        """Write down that a container whose monitor was killed has ended by ``moment``; None if that has been done."""
        with self._locks.names():
            try:
                seen = self.get(container.id)
            except NoSuchContainer:
                return None
            if seen.is_watched or seen.is_live or self._state(container.id).status not in _LIVE:
                return None
            ended = replace(seen.state, pid=0, finished_at=moment)
            self.write_state(container.id, ended)
            return ended

    def change(self, container_id: str, change: Callable[[ContainerRecord], ContainerRecord]) -> ContainerRecord:
        """Put the record that ``change`` makes of a container's in its place, durably.

        Raises: NoSuchContainer; NameConflict if it has a new name and that is taken.
        """
        with self._locks.names():
            before = self._record(container_id)
            if before is None:
                raise NoSuchContainer(container_id)
            after = change(before)
            if after.name != before.name:
                self._check_name(after)
            self._replace(container_id, "config.json", dumps(after.to_json()), is_durable=True)
            return after

    def set_stopped(self, container_id: str, *, is_stopped: bool) -> None:
        """Say that a container has been ended on purpose, or that it has been started again."""
        path = self.path(container_id, "stopped")
        try:
            if is_stopped:
                os.close(self._disk.open_new(path))
            else:
                self._disk.unlink(path)
        except (FileExistsError, FileNotFoundError):
            return

    def was_oom_killed(self, container_id: str) -> bool:
        """Whether memory ran out in the container's last run."""
        return os.path.exists(self.path(container_id, "oom-killed"))

    def write_health(self, container_id: str, health: Health | None) -> None:
        """Replace what is known about a container's health. Raises: NoSuchContainer if the container is gone."""
        self._replace(container_id, "health.json", dumps(health.to_json() if health else {}))

    def health(self, container_id: str) -> Health | None:
        """Return what is known about a container's health; None if it has no checks."""
        try:
            with open(self.path(container_id, "health.json"), "rb") as file:
                return Health.from_json(json.load(file))
        except (OSError, KeyError, TypeError, ValueError, StoreError):
            return None

    def mark_removing(self, container_id: str, *, removes_volumes: bool) -> None:
        """Begin to remove: from now on the container has no name, and whoever writes next goes on with it.

        One that goes when it has ended (--rm) is found by that after a power cut, too.
        """
        record = self._record(container_id)
        with self._locks.names():
            state = replace(self._state(container_id), status=ContainerState.REMOVING, removes_volumes=removes_volumes)
            self.write_state(container_id, state, is_durable=record is None or not record.auto_remove)

    def discard(self, session: Session, container_id: str) -> None:
        """Remove everything of the container, now or, if the process dies, in the next session."""
        session.discard(self.path(container_id))

    def half_made(self) -> tuple[str, ...]:
        """Return the names in the directory of containers that have no record: rubbish."""
        return tuple(name for name in self._names() if not os.path.lexists(self.path(name, "config.json")))

    def digests(self) -> set[Digest]:
        """Return what containers need: image IDs, layers, and the keys that their snapshots may have."""
        needed: set[Digest] = set()
        for record in self._records():
            needed.update([record.image_id, *record.diff_ids, *chain_ids(record.diff_ids)])
        return needed

    def _replace(self, container_id: str, name: str, data: bytes, *, is_durable: bool = False) -> None:
        temporary = self.path(container_id, f"{name}.{os.urandom(4).hex()}")
        try:
            fd = self._disk.open_new(temporary)
        except FileNotFoundError as error:
            raise NoSuchContainer(container_id) from error
        try:
            self._disk.write(fd, data)
            if is_durable:
                self._disk.sync(fd)
        finally:
            os.close(fd)
        self._disk.rename(temporary, self.path(container_id, name))
        if is_durable:
            self._disk.sync_directory(self.path(container_id))

    def _check_name(self, record: ContainerRecord) -> None:
        """Refuse the name of another container. Raises: NameConflict."""
        for other in self._records():
            is_other = other.id != record.id and other.name == record.name
            if is_other and self._state(other.id).status is not ContainerState.REMOVING:
                raise NameConflict(record.name, other.id)

    def _names(self) -> Iterable[str]:
        try:
            return sorted(os.listdir(self._layout.path("containers")))
        except FileNotFoundError:
            return []

    def _records(self) -> Iterable[ContainerRecord]:
        found = (self._record(name) for name in self._names())
        return [record for record in found if record is not None]

    def _record(self, container_id: str) -> ContainerRecord | None:
        try:
            with open(self.path(container_id, "config.json"), "rb") as file:
                return ContainerRecord.from_json(json.load(file))
        except (OSError, KeyError, TypeError, ValueError, MinidockError):
            return None

    def _observed(self, record: ContainerRecord) -> Container:
        state = self._state(record.id)
        is_watched = self.is_watched(record.id)
        if state.status in _LIVE and not is_watched:
            state = self._state(record.id)  # it may have ended between the two looks
            if state.status in _LIVE:
                code = KILLED if state.boot_id == self._boot_id else LOST_AT_REBOOT
                state = replace(state, status=ContainerState.EXITED, exit_code=code)
        return Container(record, state, is_watched)

    def _state(self, container_id: str) -> RunState:
        try:
            with open(self.path(container_id, "state.json"), "rb") as file:
                return RunState.from_json(json.load(file))
        except FileNotFoundError:
            return RunState()
        except (KeyError, TypeError, ValueError, StoreError):
            # States are not synced: a power cut may leave an empty file, and took the process with it.
            return RunState(ContainerState.EXITED, exit_code=LOST_AT_REBOOT, error="the state was lost in a power cut")
