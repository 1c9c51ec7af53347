"""The image configuration: what a container starts with, the layers, and the history.

Source: OCI image-spec, config.md; docker's additions (Shell, Healthcheck, OnBuild) as docker writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import check_spelling, parse_object
from minidock.core.digest import Digest
from minidock.core.health import HealthCheck
from minidock.errors import StoreError

if TYPE_CHECKING:
    from minidock.core.platform import Platform


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One instruction of an image's history; ``created`` is RFC 3339 text, kept as it was written."""

    created: str | None = None
    created_by: str = ""
    comment: str = ""
    author: str = ""
    is_empty_layer: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the members that are not empty, in the order of the specification."""
        members: dict[str, Any] = {}
        if self.created is not None:
            members["created"] = self.created
        if self.author:
            members["author"] = self.author
        if self.created_by:
            members["created_by"] = self.created_by
        if self.comment:
            members["comment"] = self.comment
        if self.is_empty_layer:
            members["empty_layer"] = True
        return members


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """The ``config`` member: defaults for containers made from the image.

    ``None`` and empty are different for ``cmd`` and ``entrypoint``: ``CMD []`` empties, no CMD inherits.
    ``other`` keeps members that we do not interpret, so that they survive a build on top.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    healthcheck: HealthCheck | None = None
    on_build: tuple[str, ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON members, sorted by name, empty ones left out."""
        members: dict[str, Any] = dict(self.other)
        if self.user:
            members["User"] = self.user
        if self.exposed_ports:
            members["ExposedPorts"] = {port: {} for port in sorted(self.exposed_ports)}
        if self.env:
            members["Env"] = list(self.env)
        if self.entrypoint is not None:
            members["Entrypoint"] = list(self.entrypoint)
        if self.cmd is not None:
            members["Cmd"] = list(self.cmd)
        if self.volumes:
            members["Volumes"] = {path: {} for path in sorted(self.volumes)}
        if self.working_dir:
            members["WorkingDir"] = self.working_dir
        if self.labels:
            members["Labels"] = dict(sorted(self.labels.items()))
        if self.stop_signal:
            members["StopSignal"] = self.stop_signal
        if self.shell is not None:
            members["Shell"] = list(self.shell)
        if self.healthcheck is not None:
            members["Healthcheck"] = self.healthcheck.to_json()
        if self.on_build:
            members["OnBuild"] = list(self.on_build)
        return dict(sorted(members.items()))

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> ContainerConfig:
        """Return the config read from JSON. Raises: StoreError on a member of the wrong type."""
        known = {
            "User",
            "ExposedPorts",
            "Env",
            "Entrypoint",
            "Cmd",
            "Volumes",
            "WorkingDir",
            "Labels",
            "StopSignal",
            "Shell",
            "Healthcheck",
            "OnBuild",
        }
        env = _strings(members, "Env") or ()
        for variable in env:
            if "=" not in variable:
                raise StoreError(f"image config: environment entry without '=': {variable!r}")
        labels = members.get("Labels") or {}
        if not isinstance(labels, dict):
            raise StoreError("image config: Labels is not a map")
        return cls(
            user=_text(members, "User"),
            exposed_ports=tuple(sorted(_keys(members, "ExposedPorts"))),
            env=env,
            entrypoint=_strings(members, "Entrypoint"),
            cmd=_strings(members, "Cmd"),
            volumes=tuple(sorted(_keys(members, "Volumes"))),
            working_dir=_text(members, "WorkingDir"),
            labels={str(key): str(value) for key, value in labels.items()},
            stop_signal=_text(members, "StopSignal"),
            shell=_strings(members, "Shell"),
            healthcheck=_healthcheck(members),
            on_build=_strings(members, "OnBuild") or (),
            other={key: value for key, value in members.items() if key not in known},
        )


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name) or ""
    if not isinstance(value, str):
        raise StoreError(f"image config: {name} is not a string")
    return value


def _strings(members: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise StoreError(f"image config: {name} is not a list of strings")
    return tuple(value)


def _healthcheck(members: Mapping[str, Any]) -> HealthCheck | None:
    value = members.get("Healthcheck")
    if value is None:
        return None
    try:
        return HealthCheck.from_json(value)
    except (TypeError, ValueError, AttributeError) as error:
        raise StoreError("image config: Healthcheck is malformed") from error


def _keys(members: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = members.get(name) or {}
    if not isinstance(value, dict):
        raise StoreError(f"image config: {name} is not a map")
    return tuple(value)


_MEMBERS = ("created", "author", "architecture", "variant", "os", "config", "rootfs", "history")


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """A whole image configuration; its digest (of `to_bytes`) is the image ID.

    ``diff_ids`` are the layers, base first; as many as there are history entries that are not empty layers.
    """

    architecture: str
    os: str = "linux"
    variant: str = ""
    created: str | None = None
    author: str = ""
    config: ContainerConfig = field(default_factory=ContainerConfig)
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[HistoryEntry, ...] = ()

    @property
    def platform(self) -> Platform:
        """What the image is for."""
        from minidock.core.platform import Platform  # rarely asked for, and slow to load

        return Platform(self.os, self.architecture, self.variant)

    def to_bytes(self) -> bytes:
        """Return the canonical JSON: the members of the specification in its order, empty ones left out."""
        members: dict[str, Any] = {}
        if self.created is not None:
            members["created"] = self.created
        if self.author:
            members["author"] = self.author
        members["architecture"] = self.architecture
        if self.variant:
            members["variant"] = self.variant
        members["os"] = self.os
        members["config"] = self.config.to_json()
        members["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in self.diff_ids]}
        members["history"] = [entry.to_json() for entry in self.history]
        return dumps(members)

    @classmethod
    def from_bytes(cls, data: bytes) -> ImageConfig:
        """Return the configuration read from JSON. Raises: StoreError."""
        members = parse_object(data, "image config")
        check_spelling(members, _MEMBERS, "image config")
        try:
            return cls._read(members)
        except (AttributeError, TypeError) as error:
            raise StoreError("image config: a member has another type than it should") from error

    @classmethod
    def _read(cls, members: Mapping[str, Any]) -> ImageConfig:
        rootfs = members.get("rootfs") or {}
        diff_ids = tuple(Digest.parse(text) for text in rootfs.get("diff_ids") or ())
        history = tuple(
            HistoryEntry(
                created=entry.get("created"),
                created_by=entry.get("created_by", ""),
                comment=entry.get("comment", ""),
                author=entry.get("author", ""),
                is_empty_layer=bool(entry.get("empty_layer", False)),
            )
            for entry in members.get("history") or ()
        )
        filled = sum(not entry.is_empty_layer for entry in history)
        if history and filled != len(diff_ids):
            raise StoreError(f"image config: {filled} history entries with a layer, but {len(diff_ids)} layers")
        return cls(
            architecture=_text(members, "architecture"),
            os=_text(members, "os") or "linux",
            variant=_text(members, "variant"),
            created=members.get("created"),
            author=_text(members, "author"),
            config=ContainerConfig.from_json(members.get("config") or {}),
            diff_ids=diff_ids,
            history=history,
        )

    def with_step(self, entry: HistoryEntry, diff_id: Digest | None, config: ContainerConfig) -> ImageConfig:
        """Return the configuration after one more instruction, which added ``diff_id`` or no layer."""
        before = self.history or tuple(HistoryEntry() for _ in self.diff_ids)  # some tools write none
        return replace(
            self,
            created=entry.created,
            config=config,
            diff_ids=self.diff_ids if diff_id is None else (*self.diff_ids, diff_id),
            history=(*before, entry),
        )


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[Digest, ...]:
    """Return the chain ID of every layer, base layer first.

    Same length as ``diff_ids``; ``chain[0] == diff_ids[0]`` and
    ``chain[n] == sha256(chain[n - 1] + " " + diff_ids[n])``, both as ``sha256:...`` text.
    Source: OCI image-spec, config.md, "Layer ChainID".
    """
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(Digest.sha256(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
