"""The records of a container: what it was made from, and what it is doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.lifecycle import LifeCycle
from minidock.core.mounts import MountOption
from minidock.core.networking import Networking
from minidock.core.process import User
from minidock.core.resources import Resources
from minidock.core.security import Security
from minidock.core.summary import ContainerState
from minidock.core.times import format_time, parse_time


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """Everything that was decided when a container was made.

    ``image_name`` is the image as the user named it; ``env`` are the variables of the user and the image, without those
    that every process gets; volumes in ``mounts`` have their names; ``is_copied`` says that ``upper`` is a whole root
    file system, for want of overlayfs.
    """

    id: str
    name: str
    created: datetime
    image_id: Digest
    image_name: str
    diff_ids: tuple[Digest, ...]
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user_text: str = ""
    user: User = field(default_factory=User)
    mounts: tuple[MountOption, ...] = ()
    hostname: str = ""
    networking: Networking = field(default_factory=Networking)
    security: Security = field(default_factory=Security)
    resources: Resources = field(default_factory=Resources)
    lifecycle: LifeCycle = field(default_factory=LifeCycle)
    is_read_only: bool = False
    has_terminal: bool = False
    has_stdin: bool = False
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    auto_remove: bool = False
    has_log: bool = True
    is_copied: bool = False
    entrypoint: tuple[str, ...] | None = None
    runtime: str = "native"

    @property
    def volumes(self) -> tuple[str, ...]:
        """The names of the volumes that it uses."""
        return tuple(mount.volume for mount in self.mounts if mount.volume)

    def to_json(self) -> dict[str, Any]:
        """Return the members of config.json."""
        return {
            "version": 2,
            "id": self.id,
            "name": self.name,
            "created": format_time(self.created),
            "image_id": str(self.image_id),
            "image_name": self.image_name,
            "diff_ids": [str(diff_id) for diff_id in self.diff_ids],
            "args": list(self.args),
            "entrypoint": None if self.entrypoint is None else list(self.entrypoint),
            "env": list(self.env),
            "cwd": self.cwd,
            "user": self.user_text,
            "identity": [self.user.uid, self.user.gid, list(self.user.groups), self.user.home],
            "mounts": [mount.to_json() for mount in self.mounts],
            "hostname": self.hostname,
            "networking": self.networking.to_json(),
            "security": self.security.to_json(),
            "resources": self.resources.to_json(),
            "lifecycle": self.lifecycle.to_json(),
            "read_only": self.is_read_only,
            "terminal": self.has_terminal,
            "stdin": self.has_stdin,
            "stop_signal": self.stop_signal,
            "labels": dict(self.labels),
            "auto_remove": self.auto_remove,
            "log": self.has_log,
            "copied": self.is_copied,
            "runtime": self.runtime,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> ContainerRecord:
        """Return the record read from JSON. Raises: KeyError, TypeError, ValueError, StoreError."""
        uid, gid, groups, home = members["identity"]
        entrypoint = members["entrypoint"]
        return cls(
            id=members["id"],
            name=members["name"],
            created=parse_time(members["created"]),
            image_id=Digest.parse(members["image_id"]),
            image_name=members["image_name"],
            diff_ids=tuple(Digest.parse(text) for text in members["diff_ids"]),
            args=tuple(members["args"]),
            env=tuple(members["env"]),
            cwd=members["cwd"],
            user_text=members["user"],
            user=User(uid, gid, tuple(groups), home),
            mounts=tuple(MountOption.from_json(mount) for mount in members["mounts"]),
            hostname=members["hostname"],
            networking=Networking.from_json(members["networking"]),
            security=Security.from_json(members["security"]),
            resources=Resources.from_json(members["resources"]),
            lifecycle=LifeCycle.from_json(members["lifecycle"]),
            is_read_only=members["read_only"],
            has_terminal=members["terminal"],
            has_stdin=members["stdin"],
            stop_signal=members["stop_signal"],
            labels=members["labels"],
            auto_remove=members["auto_remove"],
            has_log=members["log"],
            is_copied=members["copied"],
            runtime=members.get("runtime", "native"),
            entrypoint=None if entrypoint is None else tuple(entrypoint),
        )


@dataclass(frozen=True, slots=True)
class RunState:
    """What a container is doing: created, running, paused, restarting, exited or removing.

    ``pid`` and ``start_ticks`` name its first process while it runs; ``boot_id`` the boot in which it was started.
    ``error`` says why it could not be started. A removal takes the anonymous volumes along if ``removes_volumes``.
    ``restart_count`` tells how often its monitor has started it again.
    """

    status: ContainerState = ContainerState.CREATED
    pid: int = 0
    start_ticks: int = 0
    boot_id: str = ""
    exit_code: int = 0
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    removes_volumes: bool = False
    restart_count: int = 0
    ports: tuple[tuple[int, str, str, int], ...] = ()  # published: of the container, protocol, address, of the host

    def to_json(self) -> dict[str, Any]:
        """Return the members of state.json."""
        return {
            "status": self.status.value,
            "pid": self.pid,
            "start_ticks": self.start_ticks,
            "boot_id": self.boot_id,
            "exit_code": self.exit_code,
            "error": self.error,
            "started_at": format_time(self.started_at) if self.started_at else "",
            "finished_at": format_time(self.finished_at) if self.finished_at else "",
            "removes_volumes": self.removes_volumes,
            "restart_count": self.restart_count,
            "ports": [list(port) for port in self.ports],
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> RunState:
        """Return the state read from JSON. Raises: KeyError, TypeError, ValueError, StoreError."""
        times = [parse_time(members[name]) if members[name] else None for name in ("started_at", "finished_at")]
        return cls(
            status=ContainerState(members["status"]),
            pid=int(members["pid"]),
            start_ticks=int(members["start_ticks"]),
            boot_id=members["boot_id"],
            exit_code=int(members["exit_code"]),
            error=members["error"],
            started_at=times[0],
            finished_at=times[1],
            removes_volumes=bool(members["removes_volumes"]),
            restart_count=int(members["restart_count"]),
            ports=tuple((port[0], port[1], port[2], port[3]) for port in members.get("ports", ())),
        )
